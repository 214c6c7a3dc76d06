"""What a trial is made of, from audit records and outcomes, and what the rules make of it."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from trial_cases import AMOUNT_MAX_FEN, CHAMPION, rival, tried
from watch_records import DAY_MS, START_MS, approval, outcome

from stream.domain.application import Segment
from stream.domain.decision import Audit, ModelInForce, Outcome, RuleHit
from stream.domain.outcome import OutcomeEvent
from stream.trials.book import TrialBook
from stream.trials.hazard import BadLoan
from stream.trials.report import REASON_MAX, report
from stream.trials.rules import DRAW_LEVEL, Rule, TrialTerms

TERMS = TrialTerms()
_replace = msgspec.structs.replace


def under(audit: Audit, *models: ModelInForce) -> Audit:
    """The same under another line-up."""
    return _replace(audit, standing=_replace(audit.standing, models=models))


def book() -> TrialBook:
    """Empty, of the segment of the example."""
    return TrialBook([approval(0, 0).decision.segment], AMOUNT_MAX_FEN)


def hear(held: TrialBook, audit: Audit, event: OutcomeEvent, day: int) -> None:
    """An outcome whose record is as old as itself."""
    held.hear_outcome(outcome(audit, event, day), START_MS + day * DAY_MS)


def test_who_is_counted() -> None:
    """First decisions on applicants the models were asked of, in a line-up with a challenger."""
    held = book()
    held.hear_audit(tried(1))
    held.hear_audit(tried(2, drawn=True, outcome=Outcome.REFER))
    again = tried(3)
    held.hear_audit(_replace(again, decision=_replace(again.decision, applicant_token="t1")))
    held.hear_audit(_replace(tried(4), rules=(RuleHit("consent", "refer", {}),)))
    held.hear_audit(under(tried(5), CHAMPION))
    held.hear_audit(tried(6, stage=2))
    other = next(each for each in Segment if each is not tried(7).decision.segment)
    held.hear_audit(tried(7, segment=other))
    trial = held.newest
    assert trial is not None
    assert (trial.champion.applicants, trial.challenger.applicants) == (1, 1)
    assert (trial.champion.approved, trial.challenger.approved) == (1, 0)


def test_another_share_or_version_is_another_trial() -> None:
    """The newest is that of the last decision; an applicant counts once in each."""
    held = book()
    held.hear_audit(tried(1))
    held.hear_audit(under(tried(1), CHAMPION, rival(share_bps=3_000)))
    held.hear_audit(under(tried(2), CHAMPION, rival("3.0.0")))
    assert [key.share_bps for key in held.trials] == [2_000, 3_000, 2_000]
    assert held.newest is not None
    assert held.newest.key.challenger == "3.0.0"
    held.hear_audit(tried(3))
    assert held.newest.key.challenger == "2.0.0"
    assert held.newest.champion.applicants == 2


def test_what_is_at_risk_as_a_loan_goes_bad() -> None:
    """Paid-out loans of the same month that are neither bad nor paid back, itself included."""
    held = book()
    audits = [tried(n, drawn=n >= 3, approved_amount_fen=(n + 1) * 1_000_000) for n in range(5)]
    audits.append(tried(5, day=40))
    for each in audits:
        held.hear_audit(each)
        hear(held, each, OutcomeEvent.DISBURSED, 41)
    hear(held, audits[0], OutcomeEvent.REPAID, 50)
    hear(held, audits[4], OutcomeEvent.DEFAULT, 60)
    hear(held, audits[1], OutcomeEvent.DEFAULT, 70)
    trial = held.newest
    assert trial is not None
    by_count, by_amount = held.bad_loans(trial)
    assert [BadLoan(True, 1.0, 2, 2), BadLoan(False, 1.0, 2, 1)] == by_count
    assert [
        BadLoan(True, 0.25, 5_000_000, 9_000_000), BadLoan(False, 0.1, 5_000_000, 4_000_000)
    ] == by_amount  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_outcomes_count_the_same_in_any_order_and_number(seed: int) -> None:
    """Before their decision, twice, late: the numbers and the order of the bad loans are one."""
    audits = [tried(n, drawn=n % 3 == 0) for n in range(40)]
    said = [(each, OutcomeEvent.DISBURSED, 1) for each in audits]
    said += [(each, OutcomeEvent.DEFAULT, 30 + n) for n, each in enumerate(audits[:10])]
    plain, mixed = book(), book()
    for audit in audits:
        plain.hear_audit(audit)
    for each in said:
        hear(plain, *each)
    chance = random.Random(seed)
    for each in chance.sample([*said, *said[::3]], k=len(said) + len(said[::3])):
        hear(mixed, *each)
    for audit in audits:
        mixed.hear_audit(audit)
    assert plain.newest is not None
    assert mixed.newest is not None
    assert plain.bad_loans(plain.newest) == mixed.bad_loans(mixed.newest)
    assert report(plain, plain.newest, TERMS) == report(mixed, mixed.newest, TERMS)


def test_a_harmless_trial_goes_on() -> None:
    """No rule speaks; the level is shared out among them and nothing is left over."""
    held = book()
    for number in range(400):
        held.hear_audit(tried(number, drawn=number % 5 == 0))
    assert held.newest is not None
    found = report(held, held.newest, TERMS)
    assert (found["due"], found["because"]) == ("go on", None)
    assert [rule.value for rule in Rule] == [each["rule"] for each in found["rules"]]
    assert pytest.approx(TERMS.level) == sum(map(TERMS.level_of, Rule))
    assert TERMS.level_of(Rule.DRAW) == DRAW_LEVEL
    assert {name: found["arms"]["challenger"][name] for name in ("applicants", "approved")} == {
        "applicants": 80,
        "approved": 80,
    }


def test_each_harm_stops_a_trial_with_its_numbers() -> None:
    """Draw, scores, approvals and bad loans: each rule says why, in one line a command takes."""
    held = book()
    for number in range(1_500):
        drawn = number % 3 == 0
        lost = drawn and number % 2 == 0
        what: dict[str, Any] = {"score_points": None, "outcome": Outcome.REFER} if lost else {}
        audit = tried(number, drawn=drawn, **what)
        held.hear_audit(audit)
        if not lost:
            hear(held, audit, OutcomeEvent.DISBURSED, 2)
        if number < 300 and drawn and not lost:
            hear(held, audit, OutcomeEvent.DEFAULT, 3)
    assert held.newest is not None
    found = report(held, held.newest, TERMS)
    assert found["due"] == "stop"
    assert {rule.value for rule in Rule} == {e["rule"] for e in found["rules"] if e["harm"]}
    assert "500 of 1,500 drawn at 20.00%" in found["because"]
    assert "250 of 500 without a score" in found["because"]
    assert len(found["because"]) <= REASON_MAX
    assert all(each["p_value"] <= each["level"] for each in found["rules"])
