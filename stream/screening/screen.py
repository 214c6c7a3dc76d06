"""From profiles to verdicts: a limit, a grade and a price, or the first reason for none.

Rules in the order of the engine: consent, age of the data, knock-outs, what the model must
know, score, income. Each is asked of all people at once; the first that says no is the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream.domain.application import Segment
from stream.domain.instant import to_ms
from stream.domain.profile import CustomerProfile
from stream.domain.reasons import ReasonCode
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.policy.model import Policy, SegmentPolicy, Unknown
from stream.ports import Scorer
from stream.scoring.manifest import Manifest, Scaling
from stream.scoring.scorecard import centred, log_odds_of_bad
from stream.screening.columns import Column, Columns, Mask
from stream.screening.offers import DAY_MS, Price, fingerprints, price_of
from stream.screening.policy import ScreeningPolicy

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
LISTED = ""


class Verdicts(NamedTuple):
    """Of each profile of a batch, in its order, why it is not listed, or its offer.

    A reason of `LISTED` is none; a fingerprint of 0 is no offer.
    """

    profiles: Sequence[CustomerProfile]
    reasons: list[str]
    limits_fen: list[int]
    prices: list[Price | None]
    fingerprints: list[int]


def points_of(log_odds: Column, scaling: Scaling) -> Ints:
    """`stream.scoring.scorecard.to_points` for a column."""
    per_unit = scaling.pdo / math.log(2.0)
    points = scaling.base_points - per_unit * (log_odds + math.log(scaling.base_odds))
    return np.floor(points + 0.5).astype(np.int64)


class _Reasons:
    """The first reason of each row."""

    def __init__(self, rows: int) -> None:
        self.first = np.full(rows, LISTED, dtype=object)
        self.open = np.ones(rows, dtype=np.bool_)

    def refuse(self, mask: Mask, reason: str) -> None:
        """Give `reason` to the rows of `mask` that have none yet."""
        self.first[mask & self.open] = reason
        self.open &= ~mask


class Screening:
    """Models, decision policy and screening policy, ready for batches."""

    def __init__(
        self, scorers: Mapping[str, Scorer], policy: Policy, screening: ScreeningPolicy
    ) -> None:
        self._scorers, self._policy, self.policy = scorers, policy, screening
        self._prices = {
            segment: [
                price_of(segment, band.name, *screening.segments[segment].prices[band.name])
                for band in policy.segments[segment].bands
            ]
            for segment in Segment
        }

    def screen(self, profiles: Sequence[CustomerProfile], now_ms: int) -> list[Verdicts]:
        """The verdicts of a batch, one part for each segment in it."""
        groups: dict[Segment, list[CustomerProfile]] = {segment: [] for segment in Segment}
        for profile in profiles:
            groups[profile.segment].append(profile)
        return [self._segment(s, group, now_ms) for s, group in groups.items() if group]

    def _segment(self, segment: Segment, profiles: list[CustomerProfile], now_ms: int) -> Verdicts:
        terms, rules = self.policy.segments[segment], self._policy.segments[segment]
        columns, reasons = Columns(profiles, terms), _Reasons(len(profiles))
        self._before_score(profiles, columns, reasons, now_ms)
        grades = self._score(rules, columns, reasons)
        limits = self._limits(segment, columns, grades, reasons)
        ladder = self._prices[segment]
        held = np.array([profile.on_hold for profile in profiles], dtype=np.bool_)
        seeds = np.array([price.seed for price in ladder], dtype=np.uint64)[grades]
        found = np.where(reasons.open, fingerprints(seeds, limits, held), np.uint64(0))
        prices = [
            ladder[grade] if listed else None
            for grade, listed in zip(grades.tolist(), reasons.open.tolist(), strict=True)
        ]
        return Verdicts(profiles, reasons.first.tolist(), limits.tolist(), prices, found.tolist())

    def _before_score(
        self, profiles: list[CustomerProfile], columns: Columns, reasons: _Reasons, now_ms: int
    ) -> None:
        oldest_ms = now_ms - self.policy.profile_age_max_days * DAY_MS
        consent = np.array([each.screening_consent for each in profiles], dtype=np.bool_)
        reasons.refuse(~consent, ReasonCode.CONSENT_MISSING)
        old = np.array([to_ms(each.as_of) < oldest_ms for each in profiles], dtype=np.bool_)
        reasons.refuse(old, ReasonCode.DATA_INCOMPLETE)
        segment = profiles[0].segment
        no_file = columns.without_file()
        if not self._policy.segments[segment].bureau_may_be_missing:
            reasons.refuse(no_file, ReasonCode.BUREAU_MISSING)
        for rule in self._policy.knock_outs[segment]:
            of_bureau, _, hits, edge, refers, feature, source = rule
            column = columns.figure(feature.partition(".")[2])
            if column is None:
                # A profile cannot say it; the engine asks again when the person applies.
                continue
            hit = np.asarray(hits(column, edge), dtype=np.bool_)  # type: ignore[arg-type]
            asked = ~no_file if of_bureau else np.ones_like(no_file)
            reasons.refuse(asked & np.where(column < 0, refers, hit), source.reason)

    def _score(self, rules: SegmentPolicy, columns: Columns, reasons: _Reasons) -> Ints:
        """Index of each row's band; refuses what cannot be scored or scores too low."""
        scorer = self._scorers[rules.model]
        rows = columns.matrix(scorer.manifest.feature_names)
        required = list(scorer.manifest.required)
        lacking = np.any(rows[:, required] < 0, axis=1)
        reasons.refuse(np.asarray(lacking, dtype=np.bool_), ReasonCode.DATA_INCOMPLETE)
        grades = np.zeros(columns.rows, dtype=np.int64)
        asked = np.flatnonzero(reasons.open)
        if not len(asked):
            return grades
        outputs = scorer.score(np.ascontiguousarray(rows[asked]))
        points = points_of(log_odds_of_bad(outputs), scorer.manifest.scaling)
        starts = [band.points_from for band in rules.bands]
        grades[asked] = np.maximum(np.searchsorted(starts, points, side="right") - 1, 0)
        low = np.flatnonzero((points < rules.cut_off_points) | (points > rules.points_max))
        worst = _worst_families(outputs[low], scorer.manifest)
        reasons.first[asked[low]] = worst
        reasons.open[asked[low]] = False
        return grades

    def _limits(self, segment: Segment, columns: Columns, grades: Ints, reasons: _Reasons) -> Ints:
        terms, rules = self.policy.segments[segment], self._policy.segments[segment]
        caps = [min(band.limit_fen, rules.exposure_cap_fen) for band in rules.bands]
        limits = np.array(caps, dtype=np.int64)[grades]
        income = columns.figure("annual_income_fen")
        assert income is not None
        if rules.income_unknown is Unknown.REFER:
            reasons.refuse(income < 0, ReasonCode.INCOME_MISSING)
        share = (income.astype(np.int64) * terms.limit_income_pct) // 100
        bound = np.where(income < 0, terms.limit_income_unknown_fen, share)
        limits = np.minimum(limits, bound)
        step = self._policy.amount_step_fen
        limits = limits // step * step
        reasons.refuse(limits < terms.limit_min_fen, ReasonCode.AFFORDABILITY)
        return limits

    def entry(self, verdicts: Verdicts, index: int, now_ms: int) -> WhitelistEntry:
        """The offer of a listed row, valid from the day of `now_ms`, UTC."""
        from_ms_ = now_ms - now_ms % DAY_MS
        profile, price = verdicts.profiles[index], verdicts.prices[index]
        assert price is not None
        return price.entry(
            profile.applicant_token,
            Conclusion.SUSPENDED if profile.on_hold else Conclusion.PREAPPROVED,
            verdicts.limits_fen[index],
            self.policy.list_version,
            (from_ms_, from_ms_ + self.policy.validity_days * DAY_MS),
        )


def _worst_families(outputs: npt.NDArray[np.float32], manifest: Manifest) -> list[str]:
    """Of each row the family that speaks most against it."""
    ids = [family.id for family in manifest.families]
    return [ids[index] for index in centred(outputs, manifest).argmax(axis=1).tolist()]
