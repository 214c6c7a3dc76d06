"""Pairs of applicants who differ only in who they are, through every door into a decision.

`WHO` names each field of each record that says who or where somebody is, and
`FACTS` all the others; a field in neither list is a fault, so nothing new gets
past. `PERSON` is what a careless sender might add. The id itself is flipped where
it is read: place, birth date and sex digit are in the number that becomes the
token. The arm of a trial hangs on the token by design, so the other person of a
pair is drawn until both are in one arm.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from audit_cases import Harsher
from builders import HEADERS, FakeViews, raw, under
from policy_cases import POLICY

from proofs.cases import MODELS, NOW_MS
from stream.codec.keys import applicant_token
from stream.demo.terms import DEMO_KEY, LoanCase
from stream.domain.application import Application, Authorization, Declared
from stream.domain.bureau import BureauFeatures
from stream.domain.decision import Audit
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.lineup import bucket
from stream.domain.profile import CustomerProfile
from stream.domain.whitelist import WhitelistEntry
from stream.lineup import Lineup, Trial
from stream.pipeline import Pipeline
from stream.ports import Record

WHO: dict[type, set[str]] = {
    Application: {"application_id", "applicant_token", "channel", "region_code", "offer_id"},
    Authorization: {"authorization_id"},
    Declared: set(),
    WhitelistEntry: {"applicant_token", "offer_id"},
    BureauFeatures: {"applicant_token", "authorization_id"},
    CustomerProfile: {"applicant_token"},
}
FACTS: dict[type, set[str]] = {
    Application: {
        "segment", "product_code", "requested_amount_fen", "currency", "term_months",
        "loan_purpose", "submitted_at", "authorization", "declared", "decide_by", "synthetic",
    },
    Authorization: {"scope", "signed_at", "expires_at", "automated_decision"},
    Declared: {
        "annual_income_fen", "monthly_debt_fen", "employment_years", "income_verified",
        "business_is_new", "is_credit_line", "simplified_file", "sector", "employee_count",
    },
    WhitelistEntry: {
        "segment", "conclusion", "limit_fen", "price_tier", "apr_bps", "risk_grade",
        "list_version", "valid_from", "valid_to",
    },
    BureauFeatures: {
        "status", "as_of", "scope", "delinquencies_24m", "accounts_past_due",
        "days_past_due_max_24m", "collections_12m", "inquiries_12m", "utilisation_pct",
        "open_installment_count", "total_accounts", "public_records", "outstanding_fen",
        "monthly_debt_fen",
    },
    CustomerProfile: {
        "segment", "as_of", "screening_consent", "on_hold", "annual_income_fen",
        "employment_years", "business_is_new", "sector", "delinquencies_24m",
        "accounts_past_due", "days_past_due_max_24m", "collections_12m", "public_records",
        "inquiries_12m", "utilisation_pct", "open_installment_count",
    },
}  # fmt: skip
PERSON = (
    "name", "sex", "age", "birth_date", "marital_status", "ethnicity", "nationality",
    "religion", "id_number", "id_number_hash", "mobile", "address", "device_id",
)  # fmt: skip
REGIONS = ("110000", "310000", "440000", "540000", "650000")
CHANNELS = ("mobile_bank", "wechat_bank", "h5", "customer_manager")
SALT, SHARE_BPS = "flips", 3_000
TOGETHER = 50
_NAMELESS: dict[str, Any] = dict.fromkeys(
    {"decision_id", "application_sha256", *WHO[Application] - {"region_code"}}
)
HARSHER = {name: Harsher(model, 0.05) for name, model in MODELS.items()}


def line_up() -> dict[str, Lineup]:
    """Of every model a champion, a challenger and a shadow, so that all three are asked."""
    return {
        name: Lineup(model, Trial(HARSHER[name], SHARE_BPS, SALT), model, told=True)
        for name, model in MODELS.items()
    }


class Who(NamedTuple):
    """One of a pair: their token, the codes of `WHO`, and what `PERSON` says of them."""

    token: str
    region: str
    channel: str
    mark: str
    person: dict[str, str | int]


def pair(number: int) -> tuple[Who, Who]:
    """Two people who share nothing but their arm."""
    chance = random.Random(number)
    sex, born, place = chance.randrange(2), chance.randrange(1950, 1980), chance.randrange(5)
    mine = _who(f"DEMO{REGIONS[place]}{born}0101{number:04d}{sex}X", number, place, sex, born)
    first = bucket(SALT, mine.token) < SHARE_BPS
    for again in range(100):
        serial = number + 10_000 * (again + 1)
        there = (place + 1 + again % 4) % len(REGIONS)
        id_ = f"DEMO{REGIONS[there]}{born + 25}1231{serial:08d}{1 - sex}1"
        other = _who(id_, serial, there, 1 - sex, born + 25)
        if (bucket(SALT, other.token) < SHARE_BPS) is first:
            return mine, other
    raise AssertionError("a hundred others in the other arm")


def _who(id_: str, serial: int, place: int, sex: int, born: int) -> Who:
    digest = hashlib.sha256(id_.encode()).hexdigest()
    person: dict[str, str | int] = {name: f"{name}-{digest[:8]}" for name in PERSON}
    person |= {
        "sex": ("female", "male")[sex], "age": 2026 - born, "birth_date": f"{born}-01-01",
        "marital_status": ("married", "single")[sex], "ethnicity": ("han", "other")[sex],
        "id_number": id_,
    }  # fmt: skip
    channel = CHANNELS[serial % 2 + 2 * sex]
    return Who(applicant_token(id_, DEMO_KEY), REGIONS[place], channel, digest[:12], person)


class Sent(NamedTuple):
    """What one person of a pair sends and what is held of them."""

    record: Record
    entry: WhitelistEntry | None
    bureau: BureauFeatures | None


def sent(case: LoanCase, who: Who, offset: int) -> Sent:
    """The case in that person's name: every field of `WHO`, unknown fields and headers."""
    document: dict[str, Any] = msgspec.to_builtins(case.application)
    document |= {
        "application_id": f"app-{who.mark}", "applicant_token": who.token,
        "channel": who.channel, "region_code": f"cn_{who.region}", **who.person,
    }  # fmt: skip
    if document.get("offer_id"):
        document["offer_id"] = f"offer-{who.mark}"
    within = {"authorization_id": f"auth-{who.mark}", **who.person}
    document["authorization"] = document["authorization"] | within
    document["declared"] = document["declared"] | who.person
    headers = [*HEADERS, *((f"x-{name}", str(said).encode()) for name, said in who.person.items())]
    value = msgspec.json.encode(document)
    record = raw(value, key=who.token.encode(), headers=headers, offset=offset)
    named = {"applicant_token": who.token, **who.person}
    entry = _held(case.entry, WhitelistEntry, named | {"offer_id": f"offer-{who.mark}"})
    report = {"authorization_id": f"auth-{who.mark}"}
    bureau = _held(case.bureau, BureauFeatures, named | report)
    return Sent(record._replace(timestamp_ms=NOW_MS), entry, bureau)


def _held(given: Any, kind: type[Any], changes: dict[str, Any]) -> Any:
    """As the keeper reads it from its topic, with whatever the sender added."""
    if given is None:
        return None
    document = msgspec.to_builtins(given) | changes
    return msgspec.json.Decoder(kind).decode(msgspec.json.encode(document))


def decided(some: Sequence[Sent], pipeline: Pipeline) -> list[Audit]:
    """The audit of each, in order; few enough together for the breaker."""
    held = [part for each in some for part in (each.entry, each.bureau) if part is not None]
    views = FakeViews(*held, fresh_at_ms=NOW_MS)
    records = [each.record for each in some]
    run = pipeline.run(records, {0: Draft(Ledger())}, under(views, NOW_MS))
    assert not run.buried, run.buried[0][1]
    return [audit for _, audit in run.audits]


def said(audit: Audit) -> tuple[object, ...]:
    """All that was made of a case: features, scores of every model, families, rules, decision."""
    decision = msgspec.structs.replace(audit.decision, **_NAMELESS)
    rules = [
        (hit.rule, hit.result, {name: v for name, v in hit.values.items() if name != "offer_id"})
        for hit in audit.rules
    ]
    made = (audit.features, audit.contributions, audit.log_odds, audit.shadows)
    return decision, rules, *made, audit.standing


class Found(NamedTuple):
    """How many pairs there were, the places of those told apart, and the first ones' audits."""

    changed: list[int]
    audits: list[Audit]


def flip(cases: Sequence[LoanCase], pipeline: Pipeline | None = None) -> Found:
    """Decide each case for both people of its pair; whom the engine tells apart."""
    pipeline, found = pipeline or Pipeline(line_up(), POLICY), Found([], [])
    for start in range(0, len(cases), TOGETHER):
        some = list(enumerate(cases[start : start + TOGETHER], start))
        one, other = (
            decided([sent(case, pair(number)[side], number) for number, case in some], pipeline)
            for side in (0, 1)
        )
        for (number, _), mine, theirs in zip(some, one, other, strict=True):
            if said(mine) != said(theirs):
                found.changed.append(number)
        found.audits.extend(one)
    return found
