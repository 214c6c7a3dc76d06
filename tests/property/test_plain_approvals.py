"""The short way of what-if says what the rules say, over cases and policies of every kind."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from audit_cases import MODELS
from policy_cases import POLICY
from proofs.cases import cases_of, decided

from stream.audit.plain import PlainRules
from stream.audit.what_if import Logged, WhatIf, read
from stream.domain.application import Channel, Segment
from stream.policy.model import Halt, Policy, Unknown

CASES, CHANGED = 40, 12
EARLY, LATE = "2020-01-01T00:00:00.000Z", "2030-01-01T00:00:00.000Z"
_replace = msgspec.structs.replace

# Every field that a rule asks for, with values on both sides of each edge.
CHANGES: dict[str, tuple[Any, ...]] = {
    "decision.score_points": (None, 0, 450, 480, 481, 520, 579, 580, 600, 640, 700, 10_000),
    "decision.pd": (None, 0.0, 1.0, 1.5, -0.1),
    "decision.model": (None,),
    "application.authorization.automated_decision": (False,),
    "application.authorization.signed_at": (LATE, "soon"),
    "application.authorization.expires_at": (EARLY, "never"),
    "application.authorization.scope": ("another",),
    "application.authorization.authorization_id": ("auth-another",),
    "application.submitted_at": (EARLY,),
    "application.decide_by": (EARLY, LATE),
    "application.channel": tuple(each.value for each in Channel),
    "application.segment": tuple(each.value for each in Segment),
    "application.product_code": ("consumer_loan", "merchant_loan", "unknown"),
    "application.currency": ("USD",),
    "application.requested_amount_fen": (1, 99_999, 1_234_567, 20_000_001, 90_000_000),
    "application.term_months": (1, 3, 60, 72, 400),
    "application.loan_purpose": ("securities", "small_business", "stock"),
    "application.offer_id": (None, "offer-another"),
    "application.applicant_token": ("a1_" + "9" * 32,),
    "application.declared.annual_income_fen": (None, 0, 600_000, 5_000_000),
    "application.declared.monthly_debt_fen": (None, 0, 900_000),
    "whitelist_entry": (None,),
    "whitelist_entry.applicant_token": ("a1_" + "8" * 32,),
    "whitelist_entry.segment": ("farmer", "consumer"),
    "whitelist_entry.conclusion": ("suspended",),
    "whitelist_entry.limit_fen": (0, 1, 777_777, 3_000_000, 80_000_000),
    "whitelist_entry.price_tier": ("tier_x", "tier_a", "tier_d"),
    "whitelist_entry.apr_bps": (0, 300, 1_000, 3_600),
    "whitelist_entry.valid_from": (LATE, "soon"),
    "whitelist_entry.valid_to": (EARLY, "never"),
    "bureau": (None,),
    "bureau.applicant_token": ("a1_" + "7" * 32,),
    "bureau.status": ("hit", "no_hit", "thin_file", "stale", "unauthorised"),
    "bureau.as_of": (EARLY, LATE, "once"),
    "bureau.scope": ("another",),
    "bureau.authorization_id": ("auth-yet-another",),
    "bureau.monthly_debt_fen": (None, 0, 2_000_000),
    "bureau.accounts_past_due": (None, 0, 1),
    "bureau.delinquencies_24m": (None, 0, 5),
    "bureau.public_records": (None, 0, 1),
    "bureau.inquiries_12m": (None, 0, 30),
    "standing.store_age_ms": (10_000_000_000,),
    "standing.stopped_by": ("cmd-0001",),
    "standing.cancelled": (True,),
    "standing.human_asked": (True,),
    "standing.revoked_at_ms": (1, 2_000_000_000_000),
    "standing.exposure_fen": (1, 2_000_000, 10**12),
    "standing.tightened_by": ("cmd-guard",),
    "standing.raised_points": (20, 60),
    "standing.approved_count": (0, 10**6),
    "standing.approved_fen": (10**13,),
    "standing.amount_max_fen": (0, 1_000_000),
}


def _policies() -> Iterator[Policy]:
    yield POLICY
    yield _replace(POLICY, amount_step_fen=7_000)
    for halt in (
        Halt(everything=True),
        Halt(segments=frozenset({Segment.FARMER})),
        Halt(channels=frozenset({Channel.MOBILE_BANK})),
        Halt(models=frozenset({"merchant"})),
    ):
        yield _replace(POLICY, halt=halt)
    for changes in (
        {"income_unknown": Unknown.REFER, "bureau_may_be_missing": False},
        {"income_unknown": Unknown.RELY_ON_OFFER, "bureau_may_be_missing": True},
        {"exposure_cap_fen": 1_500_000, "debt_share_max_bps": 1_000},
        {"bureau_accepted": frozenset(), "points_max": 600},
    ):
        segments = {name: _replace(part, **changes) for name, part in POLICY.segments.items()}
        yield _replace(POLICY, segments=segments)


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        document = document.get(name) or {}
    document[last] = value


def _changed(document: dict[str, Any], chance: random.Random) -> Logged:
    """One to three fields are otherwise; the record is read as from the log."""
    copy = json.loads(json.dumps(document))
    for path in chance.sample(list(CHANGES), chance.choice((0, 1, 1, 1, 2, 3))):
        _put(copy, path, chance.choice(CHANGES[path]))
    logged = read(json.dumps(copy).encode())
    assert logged is not None
    return logged


@pytest.fixture(scope="module")
def logged() -> list[Logged]:
    """Real cases of the three segments, each as it was and with fields changed."""
    chance, found = random.Random(11), []
    for segment in Segment:
        for audit in decided(cases_of(segment).cases[:CASES]):
            document = json.loads(msgspec.json.encode(audit))
            found += [_changed(document, chance) for _ in range(CHANGED)]
    return found


@pytest.mark.parametrize("number", range(10))
def test_plain_approvals_are_those_of_the_rules(
    logged: list[Logged], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same amount, first reason, points and pd, under ten policies; and it is used at all."""
    policy = list(_policies())[number]
    what_if, answers = WhatIf(policy, MODELS), []
    plain: Callable[..., Any] = PlainRules.approval

    def counted(*given: Any) -> Any:
        answers.append(plain(*given))
        return answers[-1]

    monkeypatch.setattr(PlainRules, "approval", counted)
    short = what_if.effects(logged)
    monkeypatch.setattr(PlainRules, "approval", lambda *_given: None)
    by_rules = what_if.effects(logged)
    assert by_rules == short
    if number in {0, 1, 7}:
        kept = [each for each in by_rules if each is not None and not each.rescored]
        approved = sum(each.after.approved for each in kept)
        assert approved > 100
        # A consent taken back before it was given again is left to the rules.
        assert 0.95 * approved < sum(each is not None for each in answers) <= approved
