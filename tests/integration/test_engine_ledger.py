"""One engine on a real Kafka, and what people, channels and reviewers say of applications."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from desk import DAY_MS, LIBRDKAFKA_DEFAULT, LIMIT_FEN, Desk, now
from engine_runs import READY_SECONDS, await_caught_up, pid_of, running

from stream.broker import EmbeddedBroker
from stream.broker.place import free_port
from stream.config import Settings, as_environment, load_settings
from stream.demo.parts import Parts, await_ready, counter, get
from stream.demo.reconcile import read
from stream.domain.application import Channel
from stream.domain.application_event import EventKind
from stream.domain.decision import Decision, Outcome
from stream.domain.instant import from_ms
from stream.domain.topics import APPLICATIONS, DEAD_LETTERS, EVENTS, INPUTS, REVIEWS
from stream.edge.clients import consumer
from stream.errors import Exit
from stream.ops import topics

pytestmark = pytest.mark.broker
PARTITIONS = 3


class Engine:
    """A running engine and the desk around it."""

    def __init__(self, settings: Settings, parts: Parts, desk: Desk) -> None:
        self.settings, self.parts, self.desk = settings, parts, desk

    def caught_up(self) -> None:
        """Wait until every event and every answer is committed."""
        await_caught_up(self.settings, self.parts, (EVENTS, REVIEWS))

    def count(self, name: str) -> int:
        """The sum of a metric over its labels."""
        return counter(get(self.settings, "/metrics")[1], name)

    def await_ready(self) -> None:
        """Wait until it decides."""
        await_ready(self.settings, self.parts, READY_SECONDS)

    def restart(self, *, snapshots: bool) -> None:
        """End it in order and start it again, with or without what it kept of its ledgers."""
        self.parts.stop()
        folder = self.settings.state_dir / "ledgers"
        assert len(list(folder.glob("*.ledger"))) == self.settings.partitions
        if not snapshots:
            shutil.rmtree(folder)
        self.parts.start("engine")
        self.await_ready()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine and three hundred listed people on a broker of its own, for all tests here."""
    folder = tmp_path_factory.mktemp("ledger")
    with EmbeddedBroker(folder / "broker") as broker:
        topics.apply(broker.bootstrap, partitions=PARTITIONS, replication=1)
        settings = load_settings(
            bootstrap=broker.bootstrap,
            state_dir=folder / "engine",
            group_id="ledger",
            metrics_port=free_port(),
            partitions=PARTITIONS,
        )
        desk = Desk(settings)
        desk.list_people(300)
        with running(settings, folder / "logs") as parts:
            yield Engine(settings, parts, desk)
        desk.close()


def said(decision: Decision) -> tuple[Outcome, list[str]]:
    """Outcome and reasons."""
    return decision.outcome, [reason.code for reason in decision.reasons]


def test_an_application_cancelled_before_its_decision_is_referred(engine: Engine) -> None:
    """Who has withdrawn is not approved, though the event came before the application."""
    desk, whose = engine.desk, engine.desk.person()
    number = f"app-{time.time_ns():x}"
    desk.tell(EventKind.CANCEL, whose, number)
    engine.caught_up()
    desk.apply(whose, application_id=number)
    assert said(desk.decision(number)) == (Outcome.REFER, ["C_CANCELLED"])


@pytest.mark.parametrize("kind", [EventKind.CANCEL, EventKind.EXPIRY])
def test_a_released_approval_makes_room_for_the_next(engine: Engine, kind: EventKind) -> None:
    """Approved, then nothing left; cancelled or lapsed, and the whole offer is there again."""
    desk, whose = engine.desk, engine.desk.person()
    first = desk.apply(whose)
    assert desk.decision(first).approved_amount_fen == LIMIT_FEN
    second = desk.apply(whose)
    assert said(desk.decision(second)) == (Outcome.REFER, ["E_EXPOSURE"])
    desk.tell(kind, whose, first)
    desk.tell(kind, whose, first)
    engine.caught_up()
    third = desk.decision(desk.apply(whose))
    assert (third.approved_amount_fen, third.exposure_before_fen) == (LIMIT_FEN, 0)


def test_consent_taken_back_holds_until_it_is_given_again(engine: Engine) -> None:
    """No machine decides on what was signed before; a later signature is a new consent."""
    desk, whose = engine.desk, engine.desk.person()
    signed = now()
    time.sleep(0.05)
    desk.tell(EventKind.CONSENT_REVOKED, whose)
    engine.caught_up()
    expires = from_ms(time.time_ns() // 1_000_000 + DAY_MS)
    before = desk.apply(whose, authorization={"signed_at": signed, "expires_at": expires})
    assert said(desk.decision(before)) == (Outcome.REFER, ["C_CONSENT_REVOKED"])
    assert desk.decision(desk.apply(whose)).outcome is Outcome.APPROVE


def test_who_asks_for_a_person_gets_one(engine: Engine) -> None:
    """However good the score; the reviewer may then approve."""
    desk, whose = engine.desk, engine.desk.person()
    number = f"app-{time.time_ns():x}"
    desk.tell(EventKind.HUMAN_REVIEW_REQUEST, whose, number)
    engine.caught_up()
    desk.apply(whose, application_id=number)
    referral = desk.decision(number)
    assert said(referral) == (Outcome.REFER, ["C_HUMAN_REQUESTED"])
    desk.answer(referral, LIMIT_FEN, "review-human")
    assert said(desk.decision(number, stage=2)) == (Outcome.APPROVE, [])


def test_four_channels_at_once_never_promise_more_than_the_offer(engine: Engine) -> None:
    """Forty applications of one person over four channels: what is promised is the offer."""
    desk, whose = engine.desk, engine.desk.person()
    ids = desk.apply_at_once(whose, [1_300_000] * 40, channels=[each.value for each in Channel])
    found = [desk.decision(number) for number in ids]
    assert sum(each.approved_amount_fen for each in found) == LIMIT_FEN
    assert all(each.exposure_after_fen <= LIMIT_FEN for each in found)


def test_a_reviewers_approval_has_one_second_decision(engine: Engine) -> None:
    """Delivered twice it is answered once; another answer to the same referral is set aside."""
    desk, whose = engine.desk, engine.desk.person()
    before = engine.count("tenminute_dead_letters_total")
    referral = desk.decision(desk.apply_late(whose))
    assert said(referral) == (Outcome.REFER, ["T_LATE"])
    desk.answer(referral, 2_000_000, "review-00000001")
    desk.answer(referral, 2_000_000, "review-00000001")
    desk.answer(referral, 3_000_000, "review-00000002")
    second = desk.decision(referral.application_id, stage=2)
    engine.caught_up()
    desk.look()
    assert desk.decision(referral.application_id, stage=2) == second
    assert (second.approved_amount_fen, second.exposure_after_fen) == (2_000_000, 2_000_000)
    assert second.decision_id != referral.decision_id
    assert engine.count("tenminute_dead_letters_total") == before + 1
    left = desk.decision(desk.apply(whose))
    assert (left.approved_amount_fen, left.exposure_before_fen) == (3_000_000, 2_000_000)


def test_records_hashed_another_way_are_sent_on_and_decided_once(engine: Engine) -> None:
    """The default of librdkafka scatters people; each is decided once, where the key belongs."""
    desk = engine.desk
    before = engine.count("tenminute_strays_total")
    people = [desk.person() for _ in range(12)]
    ids = {
        whose: desk.apply_at_once(whose, [1_000_000] * 2, partitioner=LIBRDKAFKA_DEFAULT)
        for whose in people
    }
    for whose, numbers in ids.items():
        found = [desk.decision(number) for number in numbers]
        assert [each.applicant_token for each in found] == [whose] * 2
        assert sorted(each.exposure_after_fen for each in found) == [1_000_000, 2_000_000]
    assert engine.count("tenminute_strays_total") > before
    assert all(len(desk.look(0)[number, 1]) == 1 for each in ids.values() for number in each)


def test_what_is_past_its_deadline_is_referred_as_late(engine: Engine) -> None:
    """`decide_by` of the channel counts, and without one ten minutes after submission."""
    desk, at_ms = engine.desk, time.time_ns() // 1_000_000
    by_channel = desk.apply_late(desk.person())
    by_default = desk.apply(desk.person(), submitted_at=from_ms(at_ms - 601_000))
    in_time = desk.apply(desk.person(), submitted_at=from_ms(at_ms - 300_000))
    for number in (by_channel, by_default):
        decision = desk.decision(number)
        assert said(decision) == (Outcome.REFER, ["T_LATE"])
        assert not decision.deadline_met
    assert desk.decision(in_time).outcome is Outcome.APPROVE


def test_an_answer_given_again_after_a_kill_is_still_answered_once(engine: Engine) -> None:
    """The worker dies with the answer in hand, the reviewer's system sends it again."""
    desk = engine.desk
    referral = desk.decision(desk.apply_late(desk.person()))
    killed = pid_of(engine.settings, "worker-0")
    desk.answer(referral, 1_000_000, "review-killed")
    os.kill(killed, signal.SIGKILL)
    desk.answer(referral, 1_000_000, "review-killed")
    second = desk.decision(referral.application_id, stage=2)
    engine.caught_up()
    engine.await_ready()
    assert desk.decision(referral.application_id, stage=2) == second


def test_events_and_answers_are_still_in_force_after_a_restart(engine: Engine) -> None:
    """From the snapshot and the tail, and from the topics alone: the same room, the same no."""
    desk = engine.desk
    released, revoked, reviewed = desk.person(), desk.person(), desk.person()
    first = desk.apply(released)
    assert desk.decision(first).outcome is Outcome.APPROVE
    signed = now()
    time.sleep(0.05)
    desk.tell(EventKind.CANCEL, released, first)
    desk.tell(EventKind.CONSENT_REVOKED, revoked)
    referral = desk.decision(desk.apply_late(reviewed))
    desk.answer(referral, 2_000_000, "review-restart")
    second = desk.decision(referral.application_id, stage=2)
    engine.caught_up()
    under_old = {"signed_at": signed, "expires_at": from_ms(time.time_ns() // 1_000_000 + DAY_MS)}
    for turn, snapshots in enumerate((True, False), start=1):
        engine.restart(snapshots=snapshots)
        room = desk.decision(desk.apply(released, 1_000_000))
        assert room.exposure_before_fen == (turn - 1) * 1_000_000
        no = desk.decision(desk.apply(revoked, authorization=under_old))
        assert said(no) == (Outcome.REFER, ["C_CONSENT_REVOKED"])
        desk.answer(referral, 2_000_000, "review-restart")
        owes = desk.decision(desk.apply(reviewed, 1_000_000))
        assert owes.exposure_before_fen == 2_000_000 + (turn - 1) * 1_000_000
        engine.caught_up()
        assert desk.decision(referral.application_id, stage=2) == second


@contextmanager
def gone(bootstrap: str) -> Iterator[None]:
    """The dead-letter topic is deleted, and made again."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([DEAD_LETTERS])[DEAD_LETTERS].result(30)
    try:
        yield
    finally:
        topics.apply(bootstrap, partitions=PARTITIONS, replication=1)


@contextmanager
def unwritable(bootstrap: str) -> Iterator[None]:
    """Every dead letter is too large for its topic, though not the end of a transaction."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for bytes_max in ("200", "1048588"):
        entry = ConfigEntry(
            "max.message.bytes", bytes_max, incremental_operation=AlterConfigOpType.SET
        )
        topic = ConfigResource(ResourceType.TOPIC, DEAD_LETTERS, incremental_configs=[entry])
        admin.incremental_alter_configs([topic])[topic].result(30)
        if bytes_max == "200":
            yield


@pytest.mark.parametrize("fault", [gone, unwritable])
def test_dead_letters_that_cannot_be_written_stop_the_partition_and_lose_nothing(
    engine: Engine, fault: Callable[[str], AbstractContextManager[None]]
) -> None:
    """Held, not ready, alerted, nothing skipped; when the topic is back, all is there once."""
    desk, bootstrap = engine.desk, engine.settings.bootstrap
    with fault(bootstrap):
        desk.broken(partition=1)
        behind = [desk.apply(desk.person(1), 1_000_000) for _ in range(3)]
        elsewhere = desk.apply(desk.person(2), 1_000_000)
        deadline = time.monotonic() + READY_SECONDS
        while not engine.count("tenminute_partitions_held"):
            engine.parts.check()
            assert time.monotonic() < deadline, "no partition was held"
            time.sleep(0.1)
        assert get(engine.settings, "/readyz")[0] == 503
        assert not any(desk.look(0)[number, 1] for number in behind)
        assert desk.decision(elsewhere).outcome is Outcome.APPROVE
        written = len(list(read(bootstrap, DEAD_LETTERS, {}))) if fault is unwritable else 0
    assert all(desk.decision(number).outcome is Outcome.APPROVE for number in behind)
    engine.await_ready()
    assert engine.count("tenminute_partitions_held") == 0
    assert len(list(read(bootstrap, DEAD_LETTERS, {}))) == written + 1
    assert all(len(found) <= 1 for found in desk.look().values())


def test_a_start_that_could_decide_twice_is_refused(engine: Engine) -> None:
    """Group without offsets though decisions exist, offset beyond the end, another count."""
    engine.desk.decision(engine.desk.apply(engine.desk.person()))
    settings = engine.settings
    beyond = settings.model_copy(update={"group_id": "beyond"})
    group = consumer(beyond, beyond.group_id)
    places = [TopicPartition(topic, p, 0) for topic in INPUTS for p in range(PARTITIONS)]
    places[0].offset = 1_000_000
    group.commit(offsets=places, asynchronous=False)
    group.close()
    refused = {
        "no committed offset, yet": settings.model_copy(update={"group_id": "deleted"}),
        f"{APPLICATIONS}/0: to be read from 1000000": beyond,
        f"has {PARTITIONS} partitions, declared are 5": settings.model_copy(
            update={"group_id": "raised", "partitions": 5}
        ),
    }
    for words, each in refused.items():
        code, log = run_worker(each)
        assert code == Exit.BROKER
        assert words in log
        assert "fix" in log


def run_worker(settings: Settings) -> tuple[int, str]:
    """One worker on the engine's own store, until it ends; exit code and log."""
    environment = {**os.environ, **as_environment(settings)}
    done = subprocess.run(
        [sys.executable, "-m", "stream.edge.processes", "worker", "0"],
        env=environment,
        capture_output=True,
        timeout=READY_SECONDS,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()
