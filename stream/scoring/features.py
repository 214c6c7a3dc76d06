"""The closed table of features: name to value, from application, offer and bureau view.

Training and the engine share these names and meanings. Money stays in fen, so
no feature is rescaled on its way. A value nobody knows is `MISSING`, never a
guess and never NaN; the manifest says which features may be missing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter

from stream.domain.application import Application
from stream.domain.bureau import BureauFeatures
from stream.domain.whitelist import WhitelistEntry

MISSING = -1.0
"""Every feature is zero or more where it is known, so -1 cannot be mistaken for a value."""

INCOME_FEN_MIN = 100
"""Incomes below 1.00 count as 1.00 in ratios: none at all is the worst ratio, not an error."""

EMPLOYMENT_YEARS_MAX = 10
"""The training sets record ten years and more as one class."""

SECTORS = {
    "sector_wholesale": "wholesale",
    "sector_retail": "retail",
    "sector_accommodation_food": "accommodation_food",
}
"""One-hot features of a merchant's declared sector (NAICS 42, 44-45, 72)."""

Feature = Callable[[Application, WhitelistEntry, BureauFeatures | None], float]


def _requested_amount(app: Application, _entry: WhitelistEntry, _b: BureauFeatures | None) -> float:
    return float(app.requested_amount_fen)


def _term(app: Application, _entry: WhitelistEntry, _b: BureauFeatures | None) -> float:
    return float(app.term_months)


def _offer_limit(_app: Application, entry: WhitelistEntry, _b: BureauFeatures | None) -> float:
    return float(entry.limit_fen)


def _amount_to_limit(app: Application, entry: WhitelistEntry, _b: BureauFeatures | None) -> float:
    return app.requested_amount_fen / entry.limit_fen if entry.limit_fen > 0 else MISSING


def _amount_to_income(app: Application, _entry: WhitelistEntry, _b: BureauFeatures | None) -> float:
    income_fen = app.declared.annual_income_fen
    if income_fen is None:
        return MISSING
    return app.requested_amount_fen / max(income_fen, INCOME_FEN_MIN)


def _employment_years(app: Application, _entry: WhitelistEntry, _b: BureauFeatures | None) -> float:
    years = app.declared.employment_years
    return MISSING if years is None else float(min(years, EMPLOYMENT_YEARS_MAX))


def _declared(field: str) -> Feature:
    get = attrgetter(field)

    def value(app: Application, _entry: WhitelistEntry, _b: BureauFeatures | None) -> float:
        known = get(app.declared)
        return MISSING if known is None else float(known)

    return value


def _sector(code: str) -> Feature:
    def value(app: Application, _entry: WhitelistEntry, _b: BureauFeatures | None) -> float:
        declared = app.declared.sector
        return MISSING if declared is None else float(declared == code)

    return value


def _bureau(field: str) -> Feature:
    get = attrgetter(field)

    def value(_app: Application, _entry: WhitelistEntry, bureau: BureauFeatures | None) -> float:
        known = None if bureau is None else get(bureau)
        return MISSING if known is None else float(known)

    return value


FEATURES: dict[str, Feature] = {
    "requested_amount_fen": _requested_amount,
    "term_months": _term,
    "offer_limit_fen": _offer_limit,
    "amount_to_limit": _amount_to_limit,
    "annual_income_fen": _declared("annual_income_fen"),
    "amount_to_income": _amount_to_income,
    "employment_years": _employment_years,
    "business_is_new": _declared("business_is_new"),
    "is_credit_line": _declared("is_credit_line"),
    "simplified_file": _declared("simplified_file"),
    **{name: _sector(code) for name, code in SECTORS.items()},
    "delinquencies_24m": _bureau("delinquencies_24m"),
    "accounts_past_due": _bureau("accounts_past_due"),
    "inquiries_12m": _bureau("inquiries_12m"),
    "utilisation_pct": _bureau("utilisation_pct"),
    "open_installment_count": _bureau("open_installment_count"),
}
"""Every feature a model may ask for; a manifest that names another is refused."""


@lru_cache(maxsize=64)
def _resolve(names: tuple[str, ...]) -> tuple[Feature, ...]:
    return tuple(FEATURES[name] for name in names)


def build_row(
    names: tuple[str, ...],
    app: Application,
    entry: WhitelistEntry,
    bureau: BureauFeatures | None,
) -> list[float]:
    """The feature vector in the order of `names`, with `MISSING` where nothing is known."""
    return [feature(app, entry, bureau) for feature in _resolve(names)]


def missing_required(row: Sequence[float], required: Sequence[int]) -> int | None:
    """Index of the first feature that is missing though the model never saw it missing."""
    for index in required:
        if row[index] < 0.0:
            return index
    return None
