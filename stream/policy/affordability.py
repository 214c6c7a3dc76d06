"""How much an income carries: the level-instalment (annuity) loan, in whole fen.

A loan P over n months at the monthly rate i has the instalment
``A = P · i / (1 - (1 + i)^-n)``, the formula of equal instalments
(S. G. Kellison, The Theory of Interest, ch. 6; CFPB Regulation Z, 12 CFR 1026
appendix J, unit-period equation with equal payments). So ``P = A · f`` where
``f = (1 - (1 + i)^-n) / i`` is the present value of one fen a month.

With ``i = apr_bps / 120000``, d = 120000 and g = d + apr_bps,
``f = d (g^n - d^n) / (apr_bps · g^n)``; at rate 0 it is n. It is kept as an
integer in units of 10^-12, rounded down: an instalment is never understated
and a principal never overstated, and no float is in the way of replay.
"""

from __future__ import annotations

from functools import lru_cache

_UNIT = 10**12
_BPS_MONTHS = 120_000
"""Basis points in one, times the months of a year."""


@lru_cache(maxsize=65_536)
def _factor(apr_bps: int, term_months: int) -> int:
    """Present value of one fen a month, in units of 10^-12, rounded down."""
    if apr_bps == 0:
        return term_months * _UNIT
    grown: int = (_BPS_MONTHS + apr_bps) ** term_months
    still: int = _BPS_MONTHS**term_months
    return _UNIT * _BPS_MONTHS * (grown - still) // (apr_bps * grown)


def principal_fen(instalment_fen: int, apr_bps: int, term_months: int) -> int:
    """The largest loan whose level instalment is at most `instalment_fen`."""
    return instalment_fen * _factor(apr_bps, term_months) // _UNIT


def instalment_fen(amount_fen: int, apr_bps: int, term_months: int) -> int:
    """The level monthly instalment of a loan, rounded up to the fen."""
    return -(-amount_fen * _UNIT // _factor(apr_bps, term_months))


def room_fen(annual_income_fen: int, monthly_debt_fen: int, share_max_bps: int) -> int:
    """What remains a month for a new instalment: share of income less debts, never below 0."""
    return max(0, annual_income_fen * share_max_bps // _BPS_MONTHS - monthly_debt_fen)
