"""The series: what is played on the decisions topic, scene by scene."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from stream.conform.cast import DAY_MS, Case
from stream.conform.stage import Stage
from stream.domain.instant import from_ms

Scene = Callable[[Stage], None]

HEADERS_ODD: tuple[tuple[str, str | bytes | None], ...] = (
    ("x-invented-later", b"\xff\xfe\x00"),
    ("x-null", None),
    ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)


def opening(stage: Stage) -> bool:
    """One approval in each partition; whether the consumer is there and pays."""
    stage.commit(stage.cast.approvals("connected", stage.cast.partitions))
    return stage.await_paid()


def plain(stage: Stage) -> None:
    """Approvals, counter-offers and referrals in one transaction."""
    cast = stage.cast
    lower = [
        cast.approval("amount", approved_amount_fen=600_000 + number, counter_offer=True)
        for number in range(cast.partitions)
    ]
    referrals = [cast.referral("referral") for _ in range(2 * cast.partitions)]
    stage.commit([*cast.approvals("approval", 4 * cast.partitions), *lower, *referrals])


def aborted(stage: Stage) -> None:
    """Approvals the engine took back, then one that stands in each partition."""
    cast = stage.cast
    stage.abort([cast.unpaid("aborted") for _ in range(2 * cast.partitions)])
    stage.commit(cast.approvals("approval", cast.partitions))


def left_open(stage: Stage) -> None:
    """A transaction that takes its time, with a finished one behind it."""
    cast = stage.cast
    held = cast.approvals("open", cast.partitions)
    stage.hold_open(held, behind=cast.approvals("open", cast.partitions))


def repeats(stage: Stage) -> None:
    """The same decisions twice in one transaction, and once more in a later one."""
    cases = stage.cast.approvals("repeat", 2 * stage.cast.partitions)
    stage.commit([*cases, *cases])
    stage.await_paid()
    stage.commit(cases)


def stages(stage: Stage) -> None:
    """Second-stage decisions: after a referral they are the answer, after an approval no loan."""
    cast = stage.cast
    for place in range(cast.partitions):
        referred, declined = (cast.referral("second stage", place) for _ in range(2))
        granted = cast.approval("one loan", place)
        stage.commit([referred, declined, granted])
        still: dict[str, Any] = {"outcome": "refer", "approved_amount_fen": 0}
        stage.commit(
            [
                cast.second_stage(referred, "second stage"),
                cast.second_stage(declined, "second stage", **still)._replace(pay_fen=None),
                cast.second_stage(granted, "one loan")._replace(pay_fen=None),
            ]
        )


def late(stage: Stage) -> None:
    """Decisions of two days ago: late ones are still owed, those whose offer ended are not."""
    cast = stage.cast
    now_ms = time.time_ns() // 1_000_000
    then: dict[str, Any] = {
        "submitted_at": from_ms(now_ms - 2 * DAY_MS),
        "decided_at": from_ms(now_ms - 2 * DAY_MS + 900_000),
        "deadline_met": False,
    }
    ended = from_ms(now_ms - DAY_MS)
    cases: list[Case] = []
    for place in range(cast.partitions):
        cases.append(cast.approval("late", place, **then))
        cases.append(cast.unpaid("expired", place, **then, offer_expires_at=ended))
    stage.commit(cases, at_ms=now_ms - 2 * DAY_MS)


def odd(stage: Stage) -> None:
    """Fields and headers that no consumer knows yet."""
    cast = stage.cast
    changes: dict[str, Any] = {
        "invented_later": {"deep": [{"er": None}], "text": "好"},
        "decision_ids": ["no"],
    }
    cases = [cast.approval("unknown field", **changes) for _ in range(cast.partitions)]
    stage.commit([case._replace(headers=HEADERS_ODD) for case in cases])


def burst(stage: Stage) -> None:
    """Many at once."""
    stage.commit(stage.cast.approvals("burst", stage.plan.burst))


def restarts(stage: Stage) -> None:
    """Killed while it pays, then killed at rest; decided again what was paid before."""
    cast = stage.cast
    before = cast.approvals("repeat after a kill", 2 * cast.partitions)
    stage.commit(before)
    stage.await_paid()
    backlog = cast.approvals("kill while paying", stage.plan.burst)
    stage.commit(backlog)
    with stage.feeding("kill while paying"):
        # With the first of a backlog paid, the consumer is in the midst of a batch.
        stage.await_paid(backlog, every=False)
        stage.restart("moment 1 of 2, payments are under way")
    stage.await_paid()
    stage.commit(before)
    rest = cast.approvals("kill at rest", 4 * cast.partitions)
    stage.commit(rest)
    stage.await_paid()
    stage.restart("moment 2 of 2, everything is paid")
    stage.commit(cast.approvals("kill at rest", cast.partitions))


def unknown(stage: Stage) -> None:
    """An outcome nobody has defined; last, because a consumer may stop at it."""
    cast = stage.cast
    stage.await_paid()
    places = range(cast.partitions)
    cases = [cast.unpaid("unknown outcome", place, outcome="approve_in_part") for place in places]
    stage.commit(cases)


SCENES: dict[str, Scene] = {
    "plain": plain,
    "aborted": aborted,
    "open": left_open,
    "repeat": repeats,
    "stages": stages,
    "late": late,
    "odd": odd,
    "burst": burst,
    "restart": restarts,
    "unknown": unknown,
}
"""In the order they are played."""


def play(stage: Stage, names: list[str], say: Callable[[str], None]) -> bool:
    """Play the scenes; False, and nothing beyond the opening, when no consumer pays."""
    if not opening(stage):
        return False
    for name, scene in SCENES.items():
        if name not in names:
            continue
        say(f"{name}: {scene.__doc__}")
        scene(stage)
        if name != "unknown":
            stage.await_paid()
    time.sleep(stage.plan.settle_seconds)
    return True
