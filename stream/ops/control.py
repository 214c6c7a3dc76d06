"""What the verbs of `tenminute control` do: read what is in force, publish a command, await it."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from uuid import uuid4

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.codec.control_v1 import (
    CommandRefusedError,
    Refusal,
    decode_ack,
    decode_command,
    encode_command,
)
from stream.codec.headers import Headers
from stream.codec.signatures import Trusted, key_id
from stream.config import Settings
from stream.domain.control import Acknowledgement, AckResult, Command, Placed, Switches
from stream.domain.instant import from_ms, to_ms
from stream.domain.topics import ACKS, CONTROL
from stream.edge.client_log import CLIENT_LOG
from stream.edge.clients import consumer, producer, record_of
from stream.edge.key_pairs import command_keys
from stream.errors import BrokerError, ConfigError

ANSWER_SECONDS_MAX = 15.0


class Seen(NamedTuple):
    """The topics as they are: what is in force and who has said so."""

    switches: Switches
    refused: dict[int, str]
    """Why, by offset."""
    acks: dict[int, list[Acknowledgement]]
    """By offset of the command."""


class Outcome(NamedTuple):
    """What became of a command, measured from `issued_at`."""

    acks: list[Acknowledgement]
    expected: int
    acknowledged_ms: int | None
    """Until the last of the workers had applied it."""
    last_affected_ms: int | None
    """Until the last decision made without it; None when there was none, negative before it."""

    @property
    def complete(self) -> bool:
        """Whether every expected worker has applied the command."""
        applied = {ack.worker for ack in self.acks if ack.result is AckResult.APPLIED}
        return len(applied) >= self.expected and len(applied) == len(self.workers)

    @property
    def workers(self) -> set[str]:
        """Whoever has answered."""
        return {ack.worker for ack in self.acks}


def trusted_of(settings: Settings, *own: Ed25519PrivateKey | None) -> Trusted:
    """The keys whose commands are shown as in force: the configured ones and one's own."""
    trusted = dict(command_keys(settings)[0])
    for private in own:
        if private is not None:
            trusted[key_id(private.public_key())] = private.public_key()
    return trusted


def make_command(facts: Mapping[str, object], seen: Switches, by: str | None) -> Command:
    """A command issued now, or just after the one in force; ConfigError names what is wrong."""
    whole = {
        "command_id": f"cmd-{uuid4().hex[:16]}",
        "issued_at": from_ms(int(time.time() * 1000)),
        "issued_by": by or getpass.getuser(),
        **facts,
    }
    try:
        command = msgspec.convert(whole, Command)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error), fix="see tenminute control --help") from None
    standing = [seen.in_force.get(command.key)]
    if command.model is not None:
        standing += seen.places(command.name).values()
    newest_ms = max((to_ms(each.command.issued_at) for each in standing if each), default=0)
    if newest_ms < to_ms(command.issued_at):
        return command
    # Clocks of two operators may differ; the later command is the one given later.
    return msgspec.structs.replace(command, issued_at=from_ms(newest_ms + 1))


def publish(
    settings: Settings,
    command: Command,
    private: Ed25519PrivateKey,
    second: Ed25519PrivateKey | None = None,
) -> int:
    """Send the command; its offset once all replicas have it, BrokerError otherwise."""
    return send(settings, encode_command(command, private, second))


def send(settings: Settings, signed: tuple[bytes, bytes, Headers]) -> int:
    """Write a signed record: key, value, headers; its offset once all replicas have it."""
    key, value, headers = signed
    delivered: list[tuple[KafkaError | None, Message]] = []
    # An idempotent producer first asks for an id, and waits half a second for it. A command that is
    # written twice is the same command.
    once = {"message.timeout.ms": int(ANSWER_SECONDS_MAX * 1000), "enable.idempotence": False}
    client = producer(settings, **once)
    client.produce(
        CONTROL,
        value,
        key,
        0,  # the one that every worker reads
        headers=[*headers],
        on_delivery=lambda error, message: delivered.append((error, message)),
    )
    client.flush(ANSWER_SECONDS_MAX + 1)
    if not delivered or delivered[0][0] is not None:
        cause = delivered[0][0].name() if delivered and delivered[0][0] else "no answer"
        raise BrokerError(
            f"{CONTROL}: {cause}; it is not known whether the command was written",
            fix="run: tenminute control list, then give the command again",
        )
    return delivered[0][1].offset() or 0


def look(settings: Settings, trusted: Trusted) -> Seen:
    """Read both topics to their ends."""
    switches, refused = Switches(), {}
    guards = command_keys(settings)[1]
    for message in read_all(settings, CONTROL):
        offset = message.offset() or 0
        try:
            command = decode_command(record_of(message), trusted, guards)
        except CommandRefusedError as error:
            refused[offset] = error.refusal.value
            continue
        if switches.unfit(Placed(command, offset)):
            refused[offset] = Refusal.NOT_IN_FORCE.value
        else:
            switches = switches.with_command(command, offset)
    acks: dict[int, list[Acknowledgement]] = {}
    for message in read_all(settings, ACKS):
        ack = _ack_of(message)
        if ack is not None:
            acks.setdefault(ack.control_offset, []).append(ack)
    return Seen(switches, refused, acks)


def members(settings: Settings) -> int:
    """Workers of the engine's group, as Kafka knows them now."""
    admin = AdminClient(
        {"bootstrap.servers": settings.bootstrap, **settings.kafka}, logger=CLIENT_LOG
    )
    try:
        described = admin.describe_consumer_groups(
            [settings.group_id], request_timeout=ANSWER_SECONDS_MAX
        )
        return len(described[settings.group_id].result().members)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return 0
        raise BrokerError(
            f"group {settings.group_id}: {error.args[0].name()}", fix="run: tenminute doctor"
        ) from None


def await_acks(
    settings: Settings, command: Command, offset: int, expected: int, seconds: float
) -> Outcome:
    """Wait until `expected` workers have answered for the command at `offset`, or time is up."""
    deadline = time.monotonic() + seconds
    newest: dict[str, Acknowledgement] = {}
    with_end = _reader(settings)
    try:
        with_end.assign([TopicPartition(ACKS, 0, OFFSET_BEGINNING)])
        while len(newest) < expected and time.monotonic() < deadline:
            message = with_end.poll(0.1)
            ack = _ack_of(message) if message is not None and message.error() is None else None
            if ack is not None and ack.control_offset == offset:
                newest.setdefault(ack.worker, ack)
    finally:
        with_end.close()
    return measured(command, list(newest.values()), expected)


def measured(command: Command, acks: list[Acknowledgement], expected: int) -> Outcome:
    """The two times of a command, over all workers that applied it."""
    issued_ms = to_ms(command.issued_at)
    applied = [ack for ack in acks if ack.result is AckResult.APPLIED]
    last = [to_ms(a.last_affected_decided_at) for a in applied if a.last_affected_decided_at]
    return Outcome(
        acks,
        expected,
        max(to_ms(ack.applied_at) for ack in applied) - issued_ms if applied else None,
        max(last) - issued_ms if last else None,
    )


def read_all(settings: Settings, topic: str) -> Iterator[Message]:
    """Every record of the topic's one partition, up to its end."""
    reader = _reader(settings)
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    try:
        reader.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        while True:
            message = reader.poll(0.1)
            if message is None:
                if time.monotonic() > deadline:
                    raise BrokerError(f"{topic}: no answer", fix="run: tenminute doctor")
                continue
            deadline = time.monotonic() + ANSWER_SECONDS_MAX
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                return
            else:
                raise BrokerError(f"{topic}: {error.name()}", fix="run: tenminute doctor")
    finally:
        reader.close()


def _reader(settings: Settings) -> Consumer:
    options = {
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_uncommitted",
    }
    return consumer(settings, f"{settings.group_id}-operator", **options)


def _ack_of(message: Message) -> Acknowledgement | None:
    """The acknowledgement, or None: whatever else is on the topic tells nothing."""
    try:
        return decode_ack(message.value() or b"")
    except msgspec.DecodeError:
        return None
