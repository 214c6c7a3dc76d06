"""Profiles as columns, and the models' feature rows built from them without a loop over people.

The meaning of each feature is that of `stream/scoring/features.py`: a property test holds
the two equal, value for value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from stream.domain.profile import CustomerProfile
from stream.scoring.features import EMPLOYMENT_YEARS_MAX, INCOME_FEN_MIN, MISSING, SECTORS
from stream.screening.policy import SegmentScreening

Column = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
FIGURES = (
    "annual_income_fen", "employment_years", "delinquencies_24m", "accounts_past_due",
    "days_past_due_max_24m", "collections_12m", "public_records", "inquiries_12m",
    "utilisation_pct", "open_installment_count",
)  # fmt: skip
BUREAU_FIGURES = FIGURES[2:]
_all = attrgetter(*FIGURES)


class Columns:
    """The figures of many profiles of one segment; -1 is unknown."""

    def __init__(self, profiles: Sequence[CustomerProfile], terms: SegmentScreening) -> None:
        self.rows, self._terms, self._profiles = len(profiles), terms, profiles
        self._figures: dict[str, Column] = dict(
            zip(
                FIGURES,
                np.array([_all(profile) for profile in profiles], dtype=np.float64).T,
                strict=True,
            )
        )

    def figure(self, name: str) -> Column | None:
        """A figure by the name of its field, or None for one that a profile does not have."""
        return self._figures.get(name)

    def without_file(self) -> Mask:
        """Of whom the bureau knows nothing at all."""
        unknown: Mask = np.all([self._figures[name] < 0 for name in BUREAU_FIGURES], axis=0)
        return unknown

    def matrix(self, names: Sequence[str]) -> npt.NDArray[np.float32]:
        """Feature rows in the order of `names`, shape (rows, names)."""
        made = np.empty((self.rows, len(names)), dtype=np.float32)
        for index, name in enumerate(names):
            made[:, index] = self._feature(name)
        return made

    def _feature(self, name: str) -> Column | float:
        if name in _MADE:
            return _MADE[name](self)
        if name in SECTORS:
            return self._sector(SECTORS[name])
        return self._figures.get(name, MISSING)

    def _sector(self, code: str) -> Column:
        sectors = (profile.sector for profile in self._profiles)
        known = [MISSING if sector is None else sector == code for sector in sectors]
        return np.array(known, dtype=np.float64)

    def _is_new(self) -> Column:
        values = (profile.business_is_new for profile in self._profiles)
        return np.array([MISSING if new is None else new for new in values], dtype=np.float64)

    def _to_income(self) -> Column:
        income = self._figures["annual_income_fen"]
        ratio = self._terms.ask_fen / np.maximum(income, INCOME_FEN_MIN)
        return np.where(income < 0, MISSING, ratio)

    def _years(self) -> Column:
        years: Column = np.minimum(self._figures["employment_years"], EMPLOYMENT_YEARS_MAX)
        return years

    def _asked(self) -> float:
        return float(self._terms.ask_fen)


_MADE: dict[str, Callable[[Columns], Column | float]] = {
    # The question put to the model is the whole offer: amount and limit are the same.
    "requested_amount_fen": Columns._asked,
    "offer_limit_fen": Columns._asked,
    "amount_to_limit": lambda _columns: 1.0,
    "term_months": lambda columns: float(columns._terms.term_months),
    "is_credit_line": lambda columns: float(columns._terms.is_credit_line),
    "simplified_file": lambda columns: float(columns._terms.simplified_file),
    "amount_to_income": Columns._to_income,
    "employment_years": Columns._years,
    "business_is_new": Columns._is_new,
}
