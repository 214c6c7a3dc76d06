"""`tenminute demo`: real applications from four channels, decided on a real Kafka, counted again.

1 start a broker and create the topics; 2 start engine, funnel loop and
disbursement; 3 put whitelist and bureau features through their topics; 4 let
four channels publish; 5 wait for the last answer; 6 count again from the
topics alone, show the table, write the report.
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer
from rich.console import Console

from stream.broker import start_broker
from stream.broker.place import free_port
from stream.config import Settings, load_settings
from stream.demo.channels import SCHEDULE_RATE, Expected, Schedule, build_schedule
from stream.demo.closing import closing_table
from stream.demo.fates import Fates
from stream.demo.loans import load_loans
from stream.demo.parts import Parts, await_ready
from stream.demo.publisher import Publisher
from stream.demo.reconcile import Reconciliation, end_offsets, read_decisions, reconcile
from stream.demo.report import write_report
from stream.demo.report_data import RunFacts, gather
from stream.demo.sba import SbaReplay, load_sba
from stream.demo.screen import Screen
from stream.demo.state import DemoState
from stream.demo.synthetic import synthetic_cases
from stream.demo.tables import bureau_rows, publish_bureau, publish_whitelist, whitelist_rows
from stream.demo.terms import LoanCase, Run
from stream.demo.watcher import Watcher
from stream.domain.decision import Outcome
from stream.domain.instant import from_ms
from stream.domain.topics import OUTCOMES
from stream.edge.letter_keys import write_key
from stream.errors import BrokerError, ConfigError, Exit
from stream.loop.reader import read_totals
from stream.ops import topics
from stream.policy.load import load_policy

WHITELIST_TOTAL = 200_000
BUREAU_FILLER = 30_000
SYNTHETIC_CASES = 2_000
SEED = 7
READY_SECONDS_MAX = 120.0
SILENCE_SECONDS_MAX = 60.0
"""The demo gives up when nothing has been answered for this long."""

MOCK_PARTITIONS = 4
"""librdkafka's mock makes every topic with four."""


@dataclass(frozen=True)
class DemoOptions:
    """What the command line says."""

    rate: str
    data: Path | None
    bootstrap: str | None
    workers: int
    json_output: bool


@dataclass(frozen=True)
class Stage:
    """Where one demo runs."""

    settings: Settings
    folder: Path
    broker: str
    real: bool
    run: Run


def run_demo(options: DemoOptions) -> int:
    """Run the demo; 0 when the closing table adds up, 1 when it does not."""
    rate = _rate(options.rate)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=options.json_output)
    state = DemoState(phase="starting the broker")
    try:
        with ExitStack() as stack:
            screen = stack.enter_context(Screen(state, console))
            stage = stack.enter_context(_stage(options, state, screen))
            return _play(stage, options, rate, state, screen, stack)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        return 130


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _rate(text: str) -> float | str:
    if text == "max":
        return "max"
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1_000_000:
        raise ConfigError("--rate is neither a number above 0 nor max", fix="try --rate 400")
    return rate


@contextmanager
def _stage(options: DemoOptions, state: DemoState, screen: Screen) -> Iterator[Stage]:
    """Broker and settings of this run, in a folder emptied of the last one."""
    now_ms = time.time_ns() // 1_000_000
    base = load_settings(workers=options.workers)
    folder = base.state_dir / "demo"
    run = Run(now_ms=now_ms, seed=SEED, name=f"r{now_ms // 1000:x}")
    with ExitStack() as stack:
        if options.bootstrap is None:
            kept = folder / "kafka"
            if kept.exists() and not (kept / "broker.lock").exists():
                shutil.rmtree(folder)
            screen.refresh(now=True)
            broker = stack.enter_context(start_broker(kept))
            bootstrap, why, real = broker.bootstrap, broker.why, broker.kind == "kafka"
        else:
            bootstrap, why, real = options.bootstrap, f"Kafka at {options.bootstrap}", True
        partitions = base.partitions if real else MOCK_PARTITIONS
        letters = folder / "letters.key"
        if not letters.exists():
            write_key(letters)
        settings = load_settings(
            bootstrap=bootstrap,
            state_dir=folder / "engine",
            partitions=partitions,
            workers=options.workers,
            metrics_port=free_port(),
            dead_letter_key_file=letters,
            group_id=f"tenminute-engine-{run.name}",
        )
        state.broker = why
        screen.say(f"broker: {why}")
        yield Stage(settings, folder, why, real, run)


def _play(
    stage: Stage,
    options: DemoOptions,
    rate: float | str,
    state: DemoState,
    screen: Screen,
    stack: ExitStack,
) -> int:
    settings = stage.settings
    _make_topics(stage)
    since = end_offsets(settings.bootstrap)
    parts = stack.enter_context(Parts(settings, stage.folder / "logs"))
    parts.start("engine")
    if stage.real:
        parts.start("loop")
        ledger = str(stage.folder / "disbursement")
        parts.start(
            "disburse", "--bootstrap", settings.bootstrap, "--state-dir", ledger,
            "--group", f"tenminute-disbursement-{stage.run.name}",
        )  # fmt: skip
    stop = threading.Event()
    stack.callback(stop.set)
    state.phase = "reading the loans"
    screen.refresh(now=True)
    cases, replay = _cases(stage, options)
    _load(stage, cases, state, screen, stop)
    state.phase = "waiting for the engine"
    screen.refresh(now=True)
    await_ready(settings, parts, READY_SECONDS_MAX)
    schedule = build_schedule(cases, SEED, replay.offsets_ms if replay else None)
    watcher = Watcher(settings, state, since, with_funnel=stage.real)
    stack.callback(watcher.stop)
    watcher.start()
    pace = SCHEDULE_RATE if replay and rate != "max" else rate
    publisher = Publisher(settings, schedule, pace)  # type: ignore[arg-type]
    fates = Fates(settings, replay, watcher.approved) if replay and stage.real else None
    paced = fates if rate != "max" else None
    _publish(publisher, schedule, stage, (state, screen, watcher, parts, stop), paced)
    if fates is not None:
        state.phase = "sending what became of the loans"
        screen.refresh(now=True)
        fates.send_due(float("inf"), stop)
        screen.say(f"outcomes of approved loans sent: {fates.sent:,}")
    state.phase = "counting again from the topics"
    screen.refresh(now=True)
    found = reconcile(settings.bootstrap, since)
    elapsed = state.elapsed_seconds
    report = _report(stage, found, since, elapsed)
    screen.close()
    _show(stage, found, report, options, screen.console)
    as_planned = _as_planned(found, schedule.expected, screen.console)
    return Exit.OK if found.adds_up and as_planned else Exit.FAILED


def _as_planned(found: Reconciliation, expected: Expected, console: Console) -> bool:
    """Whether the topics hold what the simulators meant to cause, and not only a sum."""
    planned = (expected.decided, expected.dead_letters, expected.repeats)
    counted = (found.decided, found.dead_lettered, found.duplicates)
    if planned != counted:
        console.print(
            f"not as planned: decided, dead letters, duplicates should be {planned}, are {counted}"
        )
    return planned == counted


def _make_topics(stage: Stage) -> None:
    settings = stage.settings
    if stage.real:
        topics.apply(
            settings.bootstrap, partitions=settings.partitions, replication=settings.replication
        )
        return
    client = Producer({"bootstrap.servers": settings.bootstrap, "allow.auto.create.topics": True})
    for topic in topics.TOPICS:
        if topic.name != OUTCOMES:  # no disbursement system runs beside the mock
            client.list_topics(topic.name, timeout=10)


def _cases(stage: Stage, options: DemoOptions) -> tuple[list[LoanCase], SbaReplay | None]:
    """Real consumers with made farmers and merchants, or real farmers and merchants replayed."""
    if options.data is not None:
        replay = load_sba(options.data, stage.run)
        return list(replay.cases), replay
    consumers, made = load_loans(stage.run), synthetic_cases(stage.run, SYNTHETIC_CASES)
    # One made application after every five real ones, so that all segments run side by side.
    every = max(1, len(consumers) // len(made))
    mixed: list[LoanCase] = []
    for index, case in enumerate(consumers):
        mixed.append(case)
        if index % every == every - 1 and index // every < len(made):
            mixed.append(made[index // every])
    return mixed, None


def _load(
    stage: Stage, cases: list[LoanCase], state: DemoState, screen: Screen, stop: threading.Event
) -> None:
    """Whitelist entries and bureau features through their topics."""
    total = WHITELIST_TOTAL if stage.real else len(cases)
    filler = BUREAU_FILLER if stage.real else 0
    state.phase = "loading whitelist and bureau features"
    state.to_load = total + filler + len(cases)
    before = 0

    def progress(sent: int) -> None:
        state.loaded = before + sent
        screen.refresh()

    rows = whitelist_rows(cases, stage.run, total)
    before = publish_whitelist(stage.settings, rows, stage.run, progress, stop)
    rows = bureau_rows(cases, stage.run, filler)
    before += publish_bureau(stage.settings, rows, stage.run, progress, stop)
    state.loaded = state.to_load = before


def _publish(
    publisher: Publisher,
    schedule: Schedule,
    stage: Stage,
    around: tuple[DemoState, Screen, Watcher, Parts, threading.Event],
    fates: Fates | None,
) -> None:
    """Let the channels send, then wait for the last answer and the last payment."""
    state, screen, watcher, parts, stop = around
    state.phase = "deciding"
    state.to_send = schedule.expected.sent
    failed: list[Exception] = []

    def send() -> None:
        try:
            publisher.run(stop)
        except BrokerError as error:
            failed.append(error)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    last, began = (-1, -1), time.monotonic()
    quiet_since = began
    while sender.is_alive() or not _all_answered(state, stage):
        state.sent_by_channel.update(
            {c: n - state.sent_by_channel[c] for c, n in publisher.counts.by_channel().items()}
        )
        screen.refresh()
        parts.check()
        if not sender.is_alive() and state.answered >= state.to_send:
            state.phase = "waiting for the last payments and the funnel"
        if fates is not None:
            fates.send_due((time.monotonic() - began) * 1_000, stop)
        for error in (*failed, watcher.error):
            if error is not None:
                raise error
        if (state.answered, state.paid) != last:
            last, quiet_since = (state.answered, state.paid), time.monotonic()
        elif not sender.is_alive() and time.monotonic() - quiet_since > SILENCE_SECONDS_MAX:
            return  # the count below says what is missing
        time.sleep(0.05)


def _all_answered(state: DemoState, stage: Stage) -> bool:
    paid = state.paid == state.total.approved or not stage.real
    followed = sum(counts.paid for counts in state.funnel.values()) == state.paid
    return state.answered >= state.to_send and paid and (followed or not stage.real)


def _report(
    stage: Stage, found: Reconciliation, since: dict[str, dict[int, int]], elapsed: float
) -> Path:
    policy = load_policy(stage.settings.policy_file)
    facts = RunFacts(
        made_at=from_ms(time.time_ns() // 1_000_000),
        broker=stage.broker,
        elapsed_seconds=elapsed,
        cut_off_points={s.value: part.cut_off_points for s, part in policy.segments.items()},
    )
    funnel = read_totals(stage.settings) if stage.real else {}
    decisions = read_decisions(stage.settings.bootstrap, since)
    file = stage.folder / "report.html"
    write_report(gather(decisions, funnel, found, facts), file)
    return file


def _show(
    stage: Stage, found: Reconciliation, report: Path, options: DemoOptions, console: Console
) -> None:
    """The closing table, where the report is, and two decisions worth explaining."""
    console.print(closing_table(found))
    console.print(f"report: {report}", soft_wrap=True, highlight=False)
    examples = {}
    for decision in read_decisions(stage.settings.bootstrap):
        scored_refer = decision.outcome is Outcome.REFER and decision.score_points is not None
        counter = decision.outcome is Outcome.APPROVE and decision.counter_offer
        if (scored_refer or counter) and decision.outcome not in examples:
            examples[decision.outcome] = decision.application_id
        if len(examples) == len(Outcome):
            break
    if stage.real and options.bootstrap is None:
        words = {Outcome.APPROVE: "approved", Outcome.REFER: "referred"}
        for outcome, application_id in sorted(examples.items()):
            console.print(f"one {words[outcome]}: tenminute explain {application_id}",
                          soft_wrap=True, highlight=False)  # fmt: skip
    if options.json_output:
        figures = {name: getattr(found, name) for name in found.__struct_fields__}
        print(json.dumps({**figures, "adds_up": found.adds_up, "report": str(report)}))
