"""Read the audit: from its topics, or from a file that `tenminute audit export` wrote."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.audit.entry import Entry, claim_of
from stream.config import Settings
from stream.domain.topics import AUDIT, CHECKPOINTS
from stream.edge.clients import consumer, headers_of
from stream.errors import BrokerError, ConfigError
from stream.ops.audit_manifest import Manifest, Place, read_manifest

ANSWER_SECONDS_MAX = 30.0
"""A broker that moves nothing for this long, short of the end, will not move any more."""

_BATCH = 1_000
_NO_SUCH_PARTITION = (KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART)


class Kept(NamedTuple):
    """One record as the auditor keeps it: every byte, and where it lay."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, str | bytes | None]]

    @property
    def entry(self) -> Entry:
        """The record as a link of the chain."""
        return Entry(self.offset, self.key, self.value, claim_of(self.headers))


class Source:
    """The audit topics of a broker; closes its client at the end."""

    def __init__(self, settings: Settings) -> None:
        """Connect; nothing is asked yet."""
        self._reader: Consumer = consumer(
            settings, f"{settings.group_id}-auditor", **{"enable.partition.eof": True}
        )

    def partitions(self, topic: str = AUDIT) -> list[int]:
        """The partitions of a topic."""
        try:
            found = self._reader.list_topics(topic, timeout=ANSWER_SECONDS_MAX).topics[topic]
        except KafkaException as error:
            raise _failed(topic, error.args[0]) from None
        if not found.partitions:
            raise BrokerError(f"no topic {topic}", fix="run: tenminute topics apply")
        return sorted(found.partitions)

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset kept, and the end; ConfigError when there is no such partition."""
        try:
            low, high = self._reader.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=ANSWER_SECONDS_MAX
            )
        except KafkaException as error:
            if error.args[0].code() in _NO_SUCH_PARTITION:
                raise no_partition(topic, partition, self.partitions(topic)) from None
            raise _failed(topic, error.args[0]) from None
        return low, high

    def records(self, topic: str, partition: int, start: int | None = None) -> Iterator[Kept]:
        """Committed records from `start`, by default the oldest, to the end."""
        low, high = self.bounds(topic, partition)
        first = low if start is None else start
        if first >= high:
            return
        self._reader.assign([TopicPartition(topic, partition, first)])
        heard_at = time.monotonic()
        while time.monotonic() - heard_at < ANSWER_SECONDS_MAX:
            for message in self._reader.consume(_BATCH, 0.2):
                heard_at = time.monotonic()
                error = message.error()
                if error is None:
                    yield kept(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                else:
                    raise _failed(topic, error)
        raise BrokerError(f"{topic} stopped answering before its end", fix="run: tenminute doctor")

    def close(self) -> None:
        """Leave the broker."""
        self._reader.close()


class FileSource:
    """The audit topics as a file kept them."""

    def __init__(self, file: Path) -> None:
        """Read the file once for the places it has records of; ConfigError when it is no export."""
        self._file = file
        self.manifest: Manifest | None = None
        """What the export says it holds; None where its first line does not say."""
        self._bounds: dict[tuple[str, int], tuple[int, int]] = {}
        self._counts: Counter[tuple[str, int]] = Counter()
        for record in self._lines():
            place = record.topic, record.partition
            low, _ = self._bounds.get(place, (record.offset, 0))
            self._bounds[place] = low, record.offset + 1
            self._counts[place] += 1

    def partitions(self) -> list[int]:
        """The partitions that have a line in the file, or should have by its manifest."""
        said = {place.partition for place in self.manifest.places} if self.manifest else set()
        here = {number for topic, number in self._bounds if topic in (AUDIT, CHECKPOINTS)}
        return sorted(said | here)

    def lacking(self, partition: int) -> list[str]:
        """Where the file is not what its manifest says of a partition; nothing without one."""
        if self.manifest is None:
            return []
        found = []
        for topic in (CHECKPOINTS, AUDIT):
            said = self.manifest.place(topic, partition) or Place(topic, partition, 0, 0)
            _, end = self.bounds(topic, partition)
            here = Place(topic, partition, self._counts[topic, partition], end)
            if here != said:
                found.append(
                    f"{topic}/{partition}: {here.records:,} records to offset {here.end} in the "
                    f"file, {said.records:,} to {said.end} by its manifest"
                )
        return found

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset in the file, and the one after the last; ConfigError for no partition."""
        if partition not in (numbers := self.partitions()):
            raise no_partition(str(self._file), partition, numbers)
        return self._bounds.get((topic, partition), (0, 0))

    def records(self, topic: str, partition: int, start: int | None = None) -> Iterator[Kept]:
        """The records of one place, in the order of the file."""
        for record in self._lines():
            here = (record.topic, record.partition) == (topic, partition)
            if here and (start is None or record.offset >= start):
                yield record

    def close(self) -> None:
        """Nothing is held open."""

    def _lines(self) -> Iterator[Kept]:
        try:
            with self._file.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    if number == 1 and (manifest := _manifest(line)) is not None:
                        self.manifest = manifest
                        continue
                    yield _from_line(line, number)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._file}: {error}", fix="give an export file") from None


def no_partition(where: str, partition: int, numbers: Sequence[int]) -> ConfigError:
    """The error for a partition that is not there."""
    whole = list(numbers) == [*range(len(numbers))]
    named = f"0 to {len(numbers) - 1}" if whole and numbers else ", ".join(map(str, numbers))
    return ConfigError(
        f"{where}: no such partition {partition}; it has {named or 'none'}",
        fix="name one of those",
    )


def kept(message: Message) -> Kept:
    """A message of the client, with every byte."""
    return Kept(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.key(),
        message.value() or b"",
        headers_of(message),
    )


def line_of(record: Kept) -> str:
    """One line of an export: JSON, bytes as text where they are text."""
    document: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        **_written("key", record.key),
        **_written("value", record.value),
        "headers": [[name, _text(value)] for name, value in record.headers],
    }
    return json.dumps(document, ensure_ascii=False)


def _manifest(line: str) -> Manifest | None:
    try:
        return read_manifest(line)
    except ValueError as error:
        raise ConfigError(
            f"line 1 is no manifest: {error}",
            fix="write a new one with: tenminute audit export --out FILE",
        ) from None


def _from_line(line: str, number: int) -> Kept:
    try:
        found = json.loads(line)
        return Kept(
            found["topic"],
            int(found["partition"]),
            int(found["offset"]),
            _read(found, "key"),
            _read(found, "value") or b"",
            [(name, value) for name, value in found["headers"]],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"line {number} is no line of an export: {type(error).__name__}",
            fix="write one with: tenminute audit export --out FILE",
        ) from None


def _written(name: str, content: bytes | None) -> dict[str, str | None]:
    try:
        return {name: content.decode() if content is not None else None}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content or b"").decode()}


def _read(found: dict[str, Any], name: str) -> bytes | None:
    if f"{name}_base64" in found:
        return base64.b64decode(found[f"{name}_base64"], validate=True)
    text = found[name]
    return text.encode() if text is not None else None


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def _failed(topic: str, error: KafkaError) -> BrokerError:
    return BrokerError(f"reading {topic}: {error.name()}", fix="run: tenminute doctor")
