"""Profiles in bulk: a Parquet file to `customer.profiles`, a row group's slice at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow
import pyarrow.parquet
from confluent_kafka import KafkaError, Message

from stream.config import Settings
from stream.domain.profile import CustomerProfile
from stream.domain.topics import PROFILES
from stream.edge.clients import producer, require_topic
from stream.errors import BrokerError, ConfigError

ROWS = 10_000
FLUSH_SECONDS = 120.0
_MUST = ("applicant_token", "segment", "as_of", "screening_consent")
_encoder = msgspec.json.Encoder()


def publish_parquet(settings: Settings, file: Path, progress: Callable[[int, int], None]) -> int:
    """Send every row as a profile and return how many; columns are named as the schema's fields.

    Rows are checked where they are screened, so that a bad one is a dead letter like any other.
    """
    try:
        source = pyarrow.parquet.ParquetFile(file)
    except (OSError, pyarrow.ArrowInvalid):
        raise ConfigError(
            f"{file}: no Parquet file that can be read", fix="check the path"
        ) from None
    missing = [name for name in _MUST if name not in source.schema_arrow.names]
    if missing:
        raise ConfigError(f"{file}: no column {', '.join(missing)}", fix="see docs/whitelist.md")
    require_topic(settings.bootstrap, PROFILES, **settings.kafka)
    columns = [n for n in source.schema_arrow.names if n in CustomerProfile.__struct_fields__]
    client, total, failed = producer(settings), source.metadata.num_rows, list[str]()
    sent = 0

    def note(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error.name())

    for batch in source.iter_batches(ROWS, columns=columns):
        for row in batch.to_pylist():
            known = {name: value for name, value in row.items() if value is not None}
            key = str(known.get("applicant_token", "")).encode()
            value = _encoder.encode(known)
            while True:
                try:
                    client.produce(PROFILES, value, key, on_delivery=note)
                    break
                except BufferError:
                    client.poll(0.1)
        sent += batch.num_rows
        client.poll(0)
        progress(sent, total)
    if client.flush(FLUSH_SECONDS) or failed:
        raise BrokerError(
            f"not every profile was delivered: {failed[0] if failed else 'time-out'}",
            fix="send the file again; a profile sent twice changes nothing",
        )
    return sent
