"""Rule order, trail and arithmetic of the policy."""

from __future__ import annotations

import msgspec
import pytest
from policy_cases import POLICY, TOKEN, decide

from stream.domain.application import Channel, Segment
from stream.domain.decision import Outcome
from stream.domain.reasons import ReasonCode
from stream.policy.affordability import instalment_fen, principal_fen, room_fen
from stream.policy.model import Halt
from stream.policy.moments import moment_ms
from stream.policy.trail import whole_trail

_ORDER = [
    "consent", "authorisation", "deadline", "halt", "caps", "store", "offer", "bureau",
    "knock_outs", "model", "affordability", "exposure", "limit", "price", "breaker",
]  # fmt: skip


def test_what_passed_is_not_in_the_trail_and_follows_from_the_order() -> None:
    """An approval has the score's line alone; read whole, each rule once, in the design's order."""
    verdict, trail = decide({})
    assert Outcome.APPROVE is verdict.outcome
    assert [hit.rule for hit in trail] == ["model"]
    whole = whole_trail(trail)
    assert [hit.rule for hit in whole] == _ORDER
    assert {"pass"} == {hit.result for hit in whole}


def test_a_trail_read_whole_ends_where_the_path_did() -> None:
    """Rules before the one that refers passed; those after it were never asked."""
    _, trail = decide({"bureau": {"accounts_past_due": 3}})
    assert [hit.result for hit in trail] == ["refer"]
    whole = whole_trail(trail)
    assert [hit.rule for hit in whole] == [*_ORDER[: _ORDER.index("knock_outs")], trail[0].rule]


def test_first_rule_that_refers_ends_the_path() -> None:
    """A late application off the whitelist is late, and nothing after it is asked."""
    verdict, trail = decide({"now": "2026-11-24T08:10:00.001Z", "offer": "absent"})
    assert verdict.reasons == (ReasonCode.LATE,)
    assert trail[-1].rule == "deadline"


def test_deadline_itself_is_in_time() -> None:
    """Only what is past the deadline is late."""
    verdict, _ = decide({"now": "2026-11-24T08:10:00Z"})
    assert Outcome.APPROVE is verdict.outcome


@pytest.mark.parametrize(
    "halt",
    [
        Halt(everything=True),
        Halt(segments=frozenset({Segment.CONSUMER})),
        Halt(channels=frozenset({Channel.MOBILE_BANK})),
        Halt(models=frozenset({"consumer"})),
    ],
)
def test_kill_switch_refers(halt: Halt) -> None:
    """Whatever the kill switch names is referred as halted."""
    verdict, _ = decide({}, policy=msgspec.structs.replace(POLICY, halt=halt))
    assert verdict.reasons == (ReasonCode.HALTED,)


def test_a_command_that_stops_is_named_in_the_trail() -> None:
    """A referral by command says which command, so that its issuer can be found."""
    verdict, trail = decide({"stopped_by": "cmd-00000001"})
    assert verdict.reasons == (ReasonCode.HALTED,)
    assert trail[-1].values == {"halted": True, "command_id": "cmd-00000001"}


def test_the_breaker_says_what_it_weighed() -> None:
    """Where it refers, the trail holds the window and the partition's share."""
    _, trail = decide({"approved_count": 3_333, "approved_fen": 900, "partitions": 6})
    assert trail[-1].values == {
        "approved_count": 3_333,
        "approvals_max": 3_333,
        "approved_fen": 900,
        "amount_max_fen": 66_666_666_666,
    }


@pytest.mark.parametrize("part", ["offer", "bureau"])
def test_record_of_another_person_refers(part: str) -> None:
    """A store that answers with somebody else's record never leads to an approval."""
    verdict, _ = decide({part: {"applicant_token": TOKEN[:-1] + "2"}})
    assert Outcome.REFER is verdict.outcome


@pytest.mark.parametrize(
    "change",
    [
        {"offer": {"valid_to": "2027-13-01T00:00:00Z"}},
        {"bureau": {"as_of": "yesterday, about noon"}},
        {"application": {"authorization": {"signed_at": "2026-11-24 07:59:00+08"}}},
    ],
)
def test_unreadable_instant_refers(change: dict[str, object]) -> None:
    """An instant that cannot be read counts as not in force."""
    verdict, _ = decide(change)
    assert Outcome.REFER is verdict.outcome


@pytest.mark.parametrize(
    "score",
    [
        {"points": 1_001},
        {"points": -1},
        {"pd": float("nan")},
        {"pd": 1.5},
        {"points": 500, "families": [["M_UNKNOWN", 1.0], ["M_SECTOR", float("nan")]]},
    ],
)
def test_unsound_score_is_a_model_failure(score: dict[str, object]) -> None:
    """A score off its scale, or one that explains nothing, is referred as a failure."""
    verdict, _ = decide({"score": score})
    assert verdict.reasons == (ReasonCode.MODEL_FAILED,)


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ((0.74, 0.0174, 0.0172), ("M_OFFER_USE", "M_BUSINESS_AGE")),
        ((0.0172, 0.003, -0.5), ("M_OFFER_USE",)),
    ],
)
def test_a_family_of_less_than_a_point_is_no_reason(
    weights: tuple[float, ...], named: tuple[str, ...]
) -> None:
    """From ln 2 / 40 = 0.01733 on a family is named; the heaviest is, whatever it weighs."""
    names = ("M_OFFER_USE", "M_BUSINESS_AGE", "M_PRODUCT")
    families = [[name, weight] for name, weight in zip(names, weights, strict=True)]
    verdict, _ = decide({"score": {"points": 500, "families": families}})
    assert named == verdict.reasons


def test_larger_of_declared_and_known_debt_counts() -> None:
    """A declared debt does not hide what the bureau knows."""
    verdict, _ = decide({"bureau": {"monthly_debt_fen": 500_000}})
    assert verdict.reasons == (ReasonCode.AFFORDABILITY,)


def test_instalment_of_a_known_loan() -> None:
    """100,000 yuan at 6 % over 12 months is 8,606.64 yuan a month, the textbook figure."""
    assert instalment_fen(10_000_000, 600, 12) == 860_665
    assert instalment_fen(10_000_000, 0, 12) == 833_334


def test_principal_undoes_instalment() -> None:
    """What an instalment carries never needs a larger one."""
    carried = principal_fen(200_000, 1_000, 36)
    assert carried == 6_198_247
    assert instalment_fen(carried, 1_000, 36) <= 200_000


def test_room_is_never_negative() -> None:
    """Debts above the share leave nothing, not less."""
    assert room_fen(12_000_000, 900_000, 5_000) == 0
    assert room_fen(12_000_000, 100_000, 5_000) == 400_000


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-11-24T08:00:00Z", 1_795_507_200_000),
        ("2026-11-24T16:00:00.250+08:00", 1_795_507_200_250),
        ("2026-02-30T00:00:00Z", None),
        ("2026-11-24", None),
        ("", None),
    ],
)
def test_moment_reads_as_the_domain_does(instant: str, expected: int | None) -> None:
    """The cached reader agrees with the domain's, and answers None for what is no instant."""
    assert expected == moment_ms(instant)
