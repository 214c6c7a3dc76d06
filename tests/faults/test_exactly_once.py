"""One decision per application under the faults of the protocol; `make faults` is the long form."""

from __future__ import annotations

import pytest
from faults.rules import swallow_request
from faults.scenes import (
    TELLING,
    Case,
    Scene,
    cases,
    delay_commits,
    let_stray,
    lose_answers,
    playing,
    tell_errors,
)
from faults.stage import Stage
from faults.wire import Api

from stream.errors import Remedy

pytestmark = pytest.mark.broker

LISTED = {14, 15, 16, 22, 25, 45, 47, 48, 49, 51, 53, 59, 82, 90, 120}


def no_tick(_: int) -> None:
    """Nobody watches."""


def one_of_each() -> list[Case]:
    """The first code of each remedy for each way the client takes it, over all apis."""
    found: dict[tuple[str, str], Case] = {}
    for case in cases():
        found.setdefault((case.client, case.remedy), case)
    return list(found.values())


def test_the_table_names_every_code_of_every_request() -> None:
    """No listed code is left without a remedy for any transactional request."""
    table = cases()
    apis = {case.api for case in table}
    assert {(api, code) for api in apis for code in LISTED} == {(c.api, c.code) for c in table}
    assert len(apis) == 6
    assert {case.remedy for case in table} == {"none", "again", "abort", "recreate", "leave"}


def test_lost_and_late_answers_cost_no_decision_and_double_none(stage: Stage) -> None:
    """Lost, late and stray ends of transactions: each application is decided once.

    The audit chain holds, and only new producers were needed.
    """
    rows: list[Scene] = []
    with playing(stage, rows, "mixed") as play:
        lose_answers(play, 1, no_tick)
        delay_commits(play, 1, no_tick)
        let_stray(play, Api.END_TXN, 2, no_tick)
    assert rows[0].tally.exact, rows[0]
    assert rows[0].strikes == 4
    assert set(rows[0].remedies) == {Remedy.RECREATE}


def test_a_client_that_hangs_is_left_behind_and_costs_no_decision(stage: Stage) -> None:
    """Offsets that are sent and never answered outlast the bound given to the client.

    The worker does not wait for it: a new producer goes on, and the records that came late and
    twice meanwhile double nothing.
    """
    rows: list[Scene] = []
    with playing(stage, rows, "hanging") as play:
        play.strike(Api.TXN_OFFSET_COMMIT, swallow_request())
        causes = [failure.cause for failure in play.heard.failures]
        let_stray(play, Api.PRODUCE, 2, no_tick)
    assert rows[0].tally.exact, rows[0]
    assert "commit_stuck" in causes
    assert set(rows[0].remedies) == {Remedy.RECREATE}


def test_each_kind_of_error_has_its_remedy_and_costs_nothing(stage: Stage) -> None:
    """What the table owes to a code, the engine does; each application is decided once."""
    rows: list[Scene] = []
    with playing(stage, rows, "codes", TELLING) as play:
        wrong = tell_errors(play, one_of_each(), done=True, tick=no_tick)
    assert wrong == []
    assert rows[0].tally.exact, rows[0]
