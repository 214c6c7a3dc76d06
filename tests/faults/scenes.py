"""F8 to F10 and their neighbours played on a running worker, each with its count at the end."""

from __future__ import annotations

import random
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from faults.engine import Listening, RunningWorker
from faults.flow import Feed, Tally, await_committed, ends, pass_over, tally
from faults.rules import (
    Action,
    Rule,
    delay_request,
    error_after,
    error_instead,
    lose_answer,
    nth,
    once,
    stray,
)
from faults.stage import Stage
from faults.wire import Api

from stream.config import load_settings

COMMIT_SECONDS = 0.6
"""What a commit may take here; the engine's own eight seconds would only make a run longer."""

STRIKE_SECONDS = 60.0
HEALED_SECONDS = 120.0
BETWEEN_CALLS = 7
"""Calls of an api between two strikes: some recover meanwhile, none is alone for long."""

Progress = Callable[[int], None]
EXPECTED = Path(__file__).with_name("expected_errors.toml")


class Scene(NamedTuple):
    """One fault, done some times: what came out, and how long the engine stood still."""

    fault: str
    strikes: int
    tally: Tally
    silences: list[float]
    remedies: Mapping[str, int]
    deaths: int
    broken: bool = False
    """Whether it was broken off; what had been done until then is counted all the same."""


class Load(NamedTuple):
    """How the worker under the fault is fed, and how long it may take."""

    rate: float = 100.0
    """Applications a second. Where every strike costs seconds, few: the fault is to be seen, and
    not a backlog that grows from strike to strike."""
    batch_records: int = 10
    commit_seconds: float = COMMIT_SECONDS


STEADY = Load()
TELLING = Load(commit_seconds=1.5)
"""For error codes: after 14 and 15 the client repeats by itself, but only half a second later. With
a commit given up as early as elsewhere that came too late now and then, and a code that needs no
remedy had one."""


class Play(NamedTuple):
    """A worker at work on a stage."""

    stage: Stage
    heard: Listening
    harmed: list[float]
    """When harm was done that is no rule's."""

    def strike(self, api: Api, action: Action, at: int = 1) -> Rule:
        """Let it happen to the `at`-th call from now, and wait until the engine commits again."""
        rule = self.stage.proxy.on(api, action, nth(at))
        rule.await_strikes(1, STRIKE_SECONDS)
        self.await_commit(rule.strikes[0] + action.request_delay)
        return rule

    def await_commit(self, after: float) -> None:
        """Wait for two batches after a moment; the struck one may be the first."""
        deadline = time.monotonic() + HEALED_SECONDS
        while sum(1 for at in self.heard.commits[-3:] if at > after) < 2:
            assert time.monotonic() < deadline, "the engine does not commit any more"
            time.sleep(0.02)


@contextmanager
def playing(stage: Stage, rows: list[Scene], fault: str, load: Load = STEADY) -> Iterator[Play]:
    """A fed worker behind the proxy; afterwards everything is answered and counted.

    Also after Ctrl-C, which then goes on its way.
    """
    direct, group = stage.broker.bootstrap, f"faults-{uuid4().hex[:8]}"
    settings = load_settings(
        bootstrap=stage.proxy.bootstrap,
        group_id=group,
        instance="test",
        state_dir=stage.broker.folder / group,
        batch_records=load.batch_records,
    )
    since = ends(direct)
    pass_over(direct, group, since)
    broken: KeyboardInterrupt | None = None
    with RunningWorker(settings, 0, load.commit_seconds) as worker:
        with Feed(direct, load.rate) as feed:
            play = Play(stage, worker.heard, [])
            play.await_commit(0.0)
            try:
                yield play
            except KeyboardInterrupt as error:
                broken = error
            rules = stage.proxy.rules
        await_committed(direct, group)
        stage.proxy.clear()
    strikes = sorted([*play.harmed, *(at for rule in rules for at in rule.strikes)])
    heard = worker.heard
    remedies = Counter(failure.remedy for failure in heard.failures)
    silences = [silence(heard.commits, at) for at in strikes]
    counted = tally(direct, feed.ids, since)
    deaths, ended = len(heard.deaths), broken is not None
    rows.append(Scene(fault, len(strikes), counted, silences, remedies, deaths, ended))
    if broken is not None:
        raise broken


def silence(commits: Sequence[float], at: float) -> float:
    """Seconds from a strike to the end of the longest pause between commits that follows it."""
    near = [
        (after - max(before, at), after)
        for before, after in pairwise(commits)
        if after > at and before < at + COMMIT_SECONDS
    ]
    return max(near)[1] - at if near else 0.0


def lose_answers(play: Play, count: int, tick: Progress) -> None:
    """F8: the broker has committed, the answer of EndTxn is lost with its connection."""
    for _ in range(count):
        play.strike(Api.END_TXN, lose_answer(), BETWEEN_CALLS)
        tick(1)


def delay_commits(play: Play, count: int, tick: Progress) -> None:
    """F9: EndTxn reaches the broker after the engine has given it up and begun again."""
    rng = random.Random(9)
    for _ in range(count):
        late = COMMIT_SECONDS * rng.uniform(1.1, 2.0)
        play.strike(Api.END_TXN, delay_request(late), BETWEEN_CALLS)
        tick(1)


def let_stray(play: Play, api: Api, count: int, tick: Progress) -> None:
    """F9: a call is only late and its connection gone; the client repeats it and goes on.

    Its first copy reaches the broker within a later transaction.
    """
    rng = random.Random(9)
    for _ in range(count):
        play.strike(api, stray(rng.uniform(0.05, 0.6)), BETWEEN_CALLS)
        tick(1)


def slow_down(play: Play, seconds: float, tick: Progress) -> None:
    """F18: 200 ms more or less 100 ms on every round trip; a commit may take its eight seconds."""
    play.stage.proxy.latency_seconds, play.stage.proxy.jitter_seconds = 0.2, 0.1
    for _ in range(round(seconds)):
        time.sleep(1.0)
        tick(1)
    play.stage.proxy.latency_seconds = play.stage.proxy.jitter_seconds = 0.0


def half_open(play: Play, count: int, tick: Progress) -> None:
    """F20: for three seconds nothing passes, and what was asked meanwhile is never answered."""
    for _ in range(count):
        play.harmed.append(time.monotonic())
        play.stage.proxy.blackhole()
        time.sleep(3.0)
        play.stage.proxy.heal()
        play.await_commit(time.monotonic())
        tick(1)


class Case(NamedTuple):
    """One row of the table of errors: what is told to which call, and what the engine owes it."""

    api: Api
    code: int
    client: str
    remedy: str


def cases() -> list[Case]:
    """Every row of the table."""
    table = tomllib.loads(EXPECTED.read_text(encoding="utf-8"))
    return [
        Case(Api[api], int(code), row["client"], row["remedy"])
        for api, rows in table.items()
        for code, row in rows.items()
    ]


def tell_errors(play: Play, chosen: Sequence[Case], *, done: bool, tick: Progress) -> list[str]:
    """F10: each code in turn; what the engine did otherwise than the table says.

    `done` has the broker do what it then is said to have refused.
    """
    told, wrong = (error_after if done else error_instead), []
    for case in chosen:
        if case.api is Api.INIT_PRODUCER_ID:
            # Only a producer that is opened asks for its id, so have one opened.
            play.stage.proxy.on(Api.END_TXN, error_instead(_INVALID_TXN_STATE), once())
        # A fetch of the id is rare, the others come with every batch.
        rare = case.api is Api.INIT_PRODUCER_ID
        rule = play.strike(case.api, told(case.code), 1 if rare else BETWEEN_CALLS)
        did = _did(play.heard, rule.strikes[0], case)
        # These two answer when the records are long queued, so the commit may be what fails.
        late = case.api in (Api.ADD_PARTITIONS, Api.PRODUCE) and did == "recreate"
        if did != case.remedy and not (late and case.client != "retried"):
            wrong.append(f"{case.api.name} {case.code}: {did}, not {case.remedy}")
        tick(1)
    return wrong


_INVALID_TXN_STATE = 48


def _did(heard: Listening, struck: float, case: Case) -> str:
    """The remedy the engine took from that moment on, in the words of the table.

    What failed before, as a commit does now and then on a machine with other work, is no answer
    to the code.
    """
    if case.api is Api.INIT_PRODUCER_ID:
        return "again" if any(retry.at >= struck for retry in heard.retries) else "none"
    return next((failure.remedy for failure in heard.failures if failure.at >= struck), "none")
