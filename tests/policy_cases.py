"""One sound case and the shipped policy: what the policy tests start from."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import msgspec

from stream.domain.application import Application
from stream.domain.bureau import BureauFeatures
from stream.domain.control import Raised, Switches
from stream.domain.decision import RuleHit
from stream.domain.instant import to_ms
from stream.domain.ledger import Referred
from stream.domain.review import ReferralOutcome
from stream.domain.whitelist import WhitelistEntry
from stream.policy.load import load_policy
from stream.policy.model import Policy
from stream.policy.rules import (
    BreakerWindow,
    Case,
    Families,
    Score,
    Verdict,
    after_score,
    before_score,
    partition_shares,
)
from stream.policy.second_stage import ReviewCase, second_stage

POLICY_FILE = Path(__file__).parents[1] / "stream" / "policy" / "policy.toml"
POLICY = load_policy(POLICY_FILE)
TOKEN = "a1_" + "0" * 31 + "1"
NOW = "2026-11-24T08:01:00Z"

SOUND: dict[str, Any] = {
    "application": {
        "application_id": "app-00000001",
        "applicant_token": TOKEN,
        "channel": "mobile_bank",
        "segment": "consumer",
        "product_code": "consumer_loan",
        "requested_amount_fen": 5_000_000,
        "currency": "CNY",
        "term_months": 36,
        "loan_purpose": "appliances",
        "submitted_at": "2026-11-24T08:00:00Z",
        "authorization": {
            "authorization_id": "auth-00000001",
            "scope": "credit_decision",
            "signed_at": "2026-11-24T07:59:00Z",
            "expires_at": "2026-12-24T07:59:00Z",
            "automated_decision": True,
        },
        "declared": {"annual_income_fen": 12_000_000, "monthly_debt_fen": 100_000},
    },
    "offer": {
        "applicant_token": TOKEN,
        "offer_id": "offer-00000001",
        "segment": "consumer",
        "conclusion": "preapproved",
        "limit_fen": 8_000_000,
        "price_tier": "tier_b",
        "apr_bps": 1_000,
        "risk_grade": "b",
        "list_version": 7,
        "valid_from": "2026-10-01T00:00:00Z",
        "valid_to": "2027-01-01T00:00:00Z",
    },
    "bureau": {
        "applicant_token": TOKEN,
        "status": "hit",
        "as_of": "2026-11-20T00:00:00Z",
        "authorization_id": "auth-00000001",
        "scope": "credit_decision",
        "delinquencies_24m": 0,
        "accounts_past_due": 0,
    },
    "score": {"points": 620, "pd": 0.03, "families": []},
    "now": NOW,
    "decide_by": "2026-11-24T08:10:00Z",
    "store_age_ms": 0,
    "exposure_fen": 0,
    "approved_count": 0,
    "approved_fen": 0,
    "partitions": 1,
    "stopped_by": None,
    "raised_points": 0,
    "cancelled": False,
    "human_asked": False,
    "revoked_at": None,
}

SOUND_REVIEW: dict[str, Any] = {
    "answer": {
        "review_id": "review-00000001",
        "decision_id": "d_00000001",
        "application_id": "app-00000001",
        "applicant_token": TOKEN,
        "answer": "approve",
        "approved_amount_fen": 5_000_000,
        "reviewer_id": "reviewer-01",
        "answered_at": "2026-11-24T09:00:00Z",
    },
    "referral": {
        "decision_id": "d_00000001",
        "applicant_token": TOKEN,
        "channel": "mobile_bank",
        "segment": "consumer",
        "product_code": "consumer_loan",
        "requested_amount_fen": 5_000_000,
        "term_months": 36,
        "submitted_at": "2026-11-24T08:00:00Z",
        "consent_signed_at": "2026-11-24T07:59:00Z",
        "consent_expires_at": "2026-12-24T07:59:00Z",
        "overridable": True,
        "application_sha256": "0" * 64,
        "synthetic": True,
    },
    "offer": SOUND["offer"],
    "now": "2026-11-24T09:00:05Z",
    "store_age_ms": 0,
    "exposure_fen": 0,
    "cancelled": False,
    "revoked_at": None,
}


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` with `change` laid over it, part by part; `"absent"` takes a key away."""
    result = dict(base)
    for key, value in change.items():
        if value == "absent":
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def case_of(facts: dict[str, Any]) -> Case:
    """The typed case of merged facts."""
    entry, bureau = facts.get("offer"), facts.get("bureau")
    app = msgspec.convert(facts["application"], Application)
    return Case(
        app=app,
        entry=msgspec.convert(entry, WhitelistEntry) if entry is not None else None,
        bureau=msgspec.convert(bureau, BureauFeatures) if bureau is not None else None,
        now_ms=to_ms(facts["now"]),
        submitted_at_ms=to_ms(app.submitted_at),
        decide_by_ms=to_ms(facts["decide_by"]),
        store_age_ms=facts["store_age_ms"],
        exposure_fen=facts["exposure_fen"],
        stopped_by=facts["stopped_by"],
        raised=Raised(facts["raised_points"], "cmd-guard01") if facts["raised_points"] else None,
        cancelled=facts["cancelled"],
        human_asked=facts["human_asked"],
        revoked_at_ms=_moment(facts["revoked_at"]),
    )


def _moment(instant: str | None) -> int | None:
    return None if instant is None else to_ms(instant)


def review(*changes: dict[str, Any], policy: Policy = POLICY) -> tuple[Verdict, list[RuleHit]]:
    """What a reviewer's answer comes to, with `changes` laid over the sound one."""
    facts = reduce(merged, changes, SOUND_REVIEW)
    entry = facts.get("offer")
    case = ReviewCase(
        answer=msgspec.convert(facts["answer"], ReferralOutcome),
        referred=msgspec.convert(facts["referral"], Referred),
        entry=msgspec.convert(entry, WhitelistEntry) if entry is not None else None,
        now_ms=to_ms(facts["now"]),
        store_age_ms=facts["store_age_ms"],
        exposure_fen=facts["exposure_fen"],
        cancelled=facts["cancelled"],
        revoked_at_ms=_moment(facts["revoked_at"]),
    )
    trail: list[RuleHit] = []
    return second_stage(case, policy, trail), trail


def decide(*changes: dict[str, Any], policy: Policy = POLICY) -> tuple[Verdict, list[RuleHit]]:
    """The verdict and trail on the sound case with `changes` laid over it, one by one."""
    facts = reduce(merged, changes, SOUND)
    trail: list[RuleHit] = []
    case = case_of(facts)
    verdict = before_score(case, policy, trail)
    if verdict is None:
        given = facts.get("score")
        families = dict(given["families"]) if given else {}
        named = Families(list(families), [list(families.values())])
        score = Score(given["points"], given["pd"], named) if given else None
        limits = partition_shares(policy, Switches(), facts["partitions"])[case.app.segment]
        window = BreakerWindow(facts["approved_count"], facts["approved_fen"], *limits)
        verdict = after_score(case, score, policy, trail, window)
    return verdict, trail
