"""What holds of every verdict, whatever comes in."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from policy_cases import POLICY, POLICY_FILE, SOUND, decide, merged

from stream.domain.decision import Outcome
from stream.domain.reasons import REASONS
from stream.limits import REASONS_MAX
from stream.policy.affordability import instalment_fen, principal_fen, room_fen
from stream.policy.load import load_policy

_FAMILIES = st.lists(
    st.tuples(
        st.sampled_from([code.value for code, reason in REASONS.items() if reason.family == "M"]),
        st.floats(-3, 3),
    ),
    max_size=7,
    unique_by=lambda pair: pair[0],
)
_MONEY = st.integers(0, 40_000_000)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Mostly sound cases with amounts, score and debts all over the place."""
    families = sorted(draw(_FAMILIES), key=lambda pair: -pair[1])
    income = draw(st.one_of(st.just("absent"), _MONEY))
    return {
        "application": {
            "requested_amount_fen": draw(st.integers(1, 30_000_000)),
            "term_months": draw(st.integers(1, 70)),
            "declared": {"annual_income_fen": income, "monthly_debt_fen": draw(_MONEY) // 40},
        },
        "offer": {"limit_fen": draw(_MONEY), "apr_bps": draw(st.integers(700, 1_300))},
        "bureau": {"inquiries_12m": draw(st.integers(0, 11))},
        "score": {
            "points": draw(st.integers(550, 700)),
            "pd": draw(st.floats(0, 1)),
            "families": families,
        },
        "exposure_fen": draw(st.one_of(st.just(0), _MONEY)),
    }


_DOUBTS: list[dict[str, Any]] = [
    {"offer": "absent"},
    {"bureau": "absent"},
    {"score": "absent"},
    {"score": {"pd": float("nan")}},
    {"store_age_ms": 900_001},
    {"now": "2026-11-24T08:20:00Z"},
    {"application": {"authorization": {"automated_decision": False}}},
    {"application": {"authorization": {"scope": "marketing"}}},
    {"application": {"currency": "USD"}},
    {"application": {"declared": {"annual_income_fen": "absent"}}},
    {"offer": {"price_tier": "tier_z"}},
    {"bureau": {"accounts_past_due": "absent"}},
    {"approved_fen": 400_000_000_000},
]


@given(changes(), st.sampled_from(_DOUBTS))
def test_any_doubt_refers(change: dict[str, Any], doubt: dict[str, Any]) -> None:
    """One doubt is enough, however good the rest is."""
    verdict, _ = decide(change, doubt)
    assert Outcome.REFER is verdict.outcome
    assert verdict.approved_amount_fen == 0


@given(changes())
def test_amount_stays_within_every_bound(change: dict[str, Any]) -> None:
    """An approval is at most what was asked, offered, banded, affordable and left of the caps."""
    verdict, _ = decide(change)
    if verdict.outcome is Outcome.REFER:
        return
    facts = merged(SOUND, change)
    asked, offer = facts["application"]["requested_amount_fen"], facts["offer"]
    declared = facts["application"]["declared"]
    segment = next(part for name, part in POLICY.segments.items() if name == "consumer")
    band = next(band for band in segment.bands if band.name == verdict.band)
    room = room_fen(
        declared["annual_income_fen"], declared["monthly_debt_fen"], segment.debt_share_max_bps
    )
    term = facts["application"]["term_months"]
    left = min(segment.exposure_cap_fen, offer["limit_fen"]) - facts["exposure_fen"]
    amount = verdict.approved_amount_fen
    assert amount <= min(asked, offer["limit_fen"], band.limit_fen, left)
    assert instalment_fen(amount, offer["apr_bps"], term) <= room
    assert amount >= POLICY.terms["consumer_loan", "consumer"].amount_min_fen
    assert amount == asked or amount % POLICY.amount_step_fen == 0


@given(changes())
def test_reasons_explain_every_answer(change: dict[str, Any]) -> None:
    """Referrals and counter-offers have 1 to 4 reasons, full approvals none; T and S only refer."""
    verdict, _ = decide(change)
    asked = merged(SOUND, change)["application"]["requested_amount_fen"]
    assert (0 < verdict.approved_amount_fen < asked) is verdict.counter_offer
    explained = verdict.outcome is Outcome.REFER or verdict.counter_offer
    assert (1 if explained else 0) <= len(verdict.reasons) <= (REASONS_MAX if explained else 0)
    assert len(set(verdict.reasons)) == len(verdict.reasons)
    if verdict.outcome is Outcome.REFER:
        assert verdict.reasons[0] is verdict.trigger
        assert POLICY.routes[verdict.reasons[0]].queue == verdict.queue
        assert verdict.due_ms > 0
    else:
        assert not {REASONS[code].family for code in verdict.reasons} & {"T", "S"}
        assert verdict.queue is None
        assert verdict.trigger is None


@given(changes())
def test_same_case_same_verdict(change: dict[str, Any]) -> None:
    """A verdict follows from the case and the policy alone, also in a policy read anew."""
    assert decide(change) == decide(change, policy=load_policy(POLICY_FILE))


@given(st.integers(0, 10**9), st.integers(0, 10_000), st.integers(1, 480))
def test_principal_never_overstates(instalment: int, apr_bps: int, term: int) -> None:
    """The loan an instalment carries costs at most that instalment."""
    carried = principal_fen(instalment, apr_bps, term)
    assert instalment_fen(carried, apr_bps, term) <= instalment
