"""A worker's ear for `decision.control`, and its voice on `decision.control.acks`.

Every worker reads the whole topic, without a group: all of it before its first
decision, then whatever has come, before each batch and, when idle, once a round. A record that is
not a trusted command changes nothing, stops nothing, and is counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from stream.codec.control_v1 import CommandRefusedError, Refusal, decode_command, encode_ack
from stream.config import Settings
from stream.domain.application import Segment
from stream.domain.control import (
    Acknowledgement,
    AckResult,
    Command,
    Placed,
    Scope,
    Switches,
)
from stream.domain.decision import Decision
from stream.domain.instant import from_ms, to_ms
from stream.domain.lineup import Alias
from stream.domain.topics import ACKS, CONTROL
from stream.edge.clients import consumer, producer, record_of, unanswered
from stream.edge.key_pairs import command_keys
from stream.edge.shelf import ModelShelf
from stream.errors import BrokerAwayError, BrokerError, ModelError
from stream.obs.control_metrics import ControlMetrics
from stream.ports import Record

STILL_SECONDS_MAX = 5.0
"""Longest no command may come while they are read at the start, before it is begun anew."""
_CALL_SECONDS = 5.0
_RECORDS_A_POLL = 100
_FLUSH_SECONDS = 2.0


class Controls:
    """The switches in force for one worker; only `catch_up` and `close` wait."""

    def __init__(
        self,
        settings: Settings,
        worker: str,
        models: Mapping[Segment, str],
        metrics: ControlMetrics,
        log: structlog.typing.FilteringBoundLogger,
        shelf: ModelShelf | None = None,
    ) -> None:
        """Read the trusted keys; `models` is the model of each segment, by the policy.

        Without a shelf no command about a model's versions is obeyed.
        """
        self.switches = Switches()
        """What is in force; replaced as a whole by `poll`, never changed."""
        self._settings, self._worker, self._models = settings, worker, models
        self._metrics, self._log, self._shelf = metrics, log, shelf
        self._told = Switches()
        """What the topic says, read in its order; what `switches` lacks of it is not loaded."""
        self._starting = False
        self._trusted, self._guards = command_keys(settings)
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._unsent: list[Acknowledgement] = []
        self._decided_at_ms: dict[tuple[Segment, str], int] = {}
        self._affected: dict[str, tuple[str, int]] = {}
        """By switch: the command that was applied last, and its last affected decision."""

    def catch_up(self) -> bool:
        """Read to the end as of now, before the first decision; True once that is done.

        BrokerAwayError when it is to be tried again, from the beginning.
        """
        self._forget()
        if self._shelf is not None:
            self._shelf.settle(self.switches)
        if not self._trusted:
            self._log.warning("control_off", reason="no control_key_files: no command counts")
            return True
        self._starting = True
        self._consumer = consumer(
            self._settings,
            f"{self._settings.group_id}-control",
            **{
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                # A transaction left open on the topic must not hide the commands behind it.
                "isolation.level": "read_uncommitted",
            },
        )
        end = self._end(self._consumer)
        self._consumer.assign([TopicPartition(CONTROL, 0, OFFSET_BEGINNING)])
        self._read_to(self._consumer, end)
        # What was refused or replaced before this worker lived is nobody's question now.
        in_force = {placed.offset for placed in self.switches.in_force.values()}
        self._unsent = [ack for ack in self._unsent if ack.control_offset in in_force]
        self._load_in_force()
        return True

    def _forget(self) -> None:
        """What an earlier attempt has read is read again."""
        if self._consumer is not None:
            self._consumer.close()
        self.switches, self._told = Switches(), Switches()
        self._unsent, self._affected = [], {}

    def poll(self) -> bool:
        """Take what has come, without waiting; whether the switches have moved on."""
        version = self.switches.version
        self._take_loaded()
        if self._consumer is not None:
            for _ in range(_RECORDS_A_POLL):
                message = self._consumer.poll(0)
                if message is None:
                    break
                self._take(message)
        return self.switches.version != version

    def saw(self, decisions: Iterable[Decision], now_ms: int) -> None:
        """Note what was decided at `now_ms`: an acknowledgement names the last one affected."""
        for kind in {(each.segment, each.channel.value) for each in decisions}:
            self._decided_at_ms[kind] = now_ms

    def acknowledge(self) -> None:
        """Send what has been heard since the last call on its way."""
        if self._producer is not None:
            self._producer.poll(0)
        if not self._unsent:
            return
        if self._producer is None:
            self._producer = producer(self._settings)
        unsent, self._unsent = self._unsent, []
        for ack in unsent:
            key, value, headers = encode_ack(ack)
            try:
                self._producer.produce(ACKS, value, key, headers=[*headers], on_delivery=self._sent)
            except BufferError:
                self._unsent.append(ack)
        self._producer.poll(0)

    def close(self, left: float = _FLUSH_SECONDS) -> None:
        """Give up reading; acknowledgements get two seconds to leave, or what is `left`."""
        if self._consumer is not None:
            self._consumer.close()
        if self._producer is not None:
            self._producer.flush(max(0.0, min(_FLUSH_SECONDS, left)))
        if self._shelf is not None:
            self._shelf.close()

    def _end(self, reader: Consumer) -> int:
        """The end of the topic, asked of the broker; BrokerError when it does not say."""
        try:
            place = TopicPartition(CONTROL, 0)
            return reader.get_watermark_offsets(place, timeout=_CALL_SECONDS)[1]
        except KafkaException as error:
            away = unanswered(self._settings, error)
            if isinstance(away, BrokerAwayError):
                raise away from None
            raise BrokerError(
                f"cannot read the end of {CONTROL}: {error.args[0].name()}",
                fix="run: tenminute topics apply, then tenminute doctor",
            ) from None

    def _read_to(self, reader: Consumer, end: int) -> None:
        moved_at, reached = time.monotonic(), 0
        while reached < end:
            if time.monotonic() - moved_at > STILL_SECONDS_MAX:
                raise BrokerAwayError(
                    f"{CONTROL} not read to its end, nothing for {STILL_SECONDS_MAX:.0f} s",
                    fix="run: tenminute doctor",
                )
            message = reader.poll(0.1)
            if message is not None and (at := self._take(message)):
                reached, moved_at = at, time.monotonic()

    def _take(self, message: Message) -> int:
        """Apply or refuse one record; the offset to read next, 0 when it was none."""
        error, offset = message.error(), message.offset()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                return offset or 0
            self._log.warning("control_read_failed", error=error.name())
            return 0
        if offset is None:
            raise AssertionError("a record has an offset")
        self.hear(record_of(message))
        return offset + 1

    def hear(self, record: Record) -> None:
        """Obey or refuse one record; they must come in the order of the topic."""
        try:
            command = self._known(decode_command(record, self._trusted, self._guards))
        except CommandRefusedError as error:
            self._refuse(record.offset, error)
            return
        placed = Placed(command, record.offset)
        if unfit := self._told.unfit(placed):
            refused = CommandRefusedError(Refusal.NOT_IN_FORCE, command.command_id)
            self._refuse(record.offset, refused, unfit)
            return
        if not self._starting:
            self._compare_start(command)
        self._told = self._told.with_command(*placed)
        self._heed(placed)

    def _compare_start(self, command: Command) -> None:
        """Say where the first champion commanded was to replace another than this host has."""
        change = command.model
        if change is None or change.alias is not Alias.CHAMPION or self._shelf is None:
            return
        starts = self._shelf.base(command.name)
        if self._told.aliases(command.name).champion is None and change.replaced != starts:
            self._log.warning(
                "control_other_start", command_id=command.command_id, name=command.name,
                replaces=change.replaces, starts=starts.version,
            )  # fmt: skip

    def _heed(self, placed: Placed) -> None:
        """Apply a command, or have the model loaded first that it names."""
        change = placed.command.model
        if change is None or change.version is None:
            self._apply(*placed)
        elif self._shelf is None:
            self._refuse_model(placed, ModelError("no models here", fix="ask a worker"))
        elif not self._starting:  # of all that was ever commanded, what stands is loaded at the end
            self._shelf.ask(placed)

    def _load_in_force(self) -> None:
        """Load what stands by command; a worker that starts without it takes what stood before."""
        self._starting = False
        if self._shelf is None:
            return
        for model in sorted(set(self._models.values())):
            for placed in self._told.places(model).values():
                if placed.command.model is not None and placed.command.model.version is not None:
                    self._shelf.ask(placed)
        while (loaded := self._shelf.next(self.switches, wait=True)) is not None:
            placed, fault = loaded
            change = placed.command.model
            if fault is None:
                self._apply(*placed)
                continue
            self._refuse_model(placed, fault)
            if change is None or change.alias is not Alias.CHAMPION:
                continue
            if change.rollback:
                raise fault  # what was to be left must not decide again
            self._shelf.fall_back(placed.command.name, change.replaced)
        self._shelf.settle(self.switches)

    def _take_loaded(self) -> None:
        """Let the models stand that have been loaded since, or say why not."""
        if self._shelf is None:
            return
        while (loaded := self._shelf.next(self.switches)) is not None:
            placed, fault = loaded
            if fault is None:
                self._apply(*placed)
            else:
                self._refuse_model(placed, fault)

    def _known(self, command: Command) -> Command:
        if command.scope is Scope.MODEL and command.name not in self._models.values():
            raise CommandRefusedError(Refusal.UNKNOWN_MODEL, command.command_id)
        return command

    def _apply(self, command: Command, offset: int) -> None:
        known, last_ms = self._affected.get(command.key, ("", 0))
        copied = known == command.command_id
        if not copied:
            last_ms = self._last_affected_ms(command)
            self._affected[command.key] = command.command_id, last_ms
        self.switches = self.switches.with_command(command, offset)
        holds = self.switches.holds(offset)
        result = AckResult.APPLIED if holds else AckResult.SUPERSEDED
        self._metrics.records.labels(result.value).inc()
        if holds and last_ms and not copied:
            late_ms = max(0, last_ms - to_ms(command.issued_at))
            self._metrics.last_affected.observe(late_ms / 1000)
        self._metrics.stops.set(len(self.switches.stops))
        self._metrics.offset.set(self.switches.version)
        if command.model is not None and self._shelf is not None:
            self._shelf.settle(self.switches)
        self._log.warning(
            "control_command",
            command_id=command.command_id,
            action=command.action.value,
            scope=command.scope.value,
            name=command.name,
            result=result.value,
        )
        self._unsent.append(
            Acknowledgement(
                worker=self._worker,
                control_offset=offset,
                result=result,
                applied_at=from_ms(int(time.time() * 1000)),
                command_id=command.command_id,
                last_affected_decided_at=from_ms(last_ms) if last_ms else None,
                why=None if holds else "a newer command of the same switch is in force",
            )
        )

    def _refuse_model(self, placed: Placed, fault: ModelError) -> None:
        """The model that stands goes on."""
        refused = CommandRefusedError(Refusal.MODEL_REFUSED, placed.command.command_id)
        self._refuse(placed.offset, refused, str(fault))

    def _refuse(self, offset: int, refused: CommandRefusedError, why: str | None = None) -> None:
        reason = refused.refusal.value
        self._metrics.records.labels(reason).inc()
        self._log.warning("control_refused", offset=offset, reason=reason, problem=why)
        self._unsent.append(
            Acknowledgement(
                worker=self._worker,
                control_offset=offset,
                result=AckResult.REFUSED,
                applied_at=from_ms(int(time.time() * 1000)),
                command_id=refused.command_id,
                why=f"{reason}: {why}" if why else reason,
            )
        )

    def _last_affected_ms(self, command: Command) -> int:
        """When this worker last decided within the command's scope; 0 for never."""
        return max(
            (
                at_ms
                for (segment, channel), at_ms in self._decided_at_ms.items()
                if command.covers(segment.value, channel, self._models.get(segment, ""))
            ),
            default=0,
        )

    def _sent(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._metrics.acks_failed.inc()
            self._log.warning("control_ack_failed", error=error.name())
