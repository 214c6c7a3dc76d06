"""When a trial stops: the rules, and what they say at any time.

A rule may only ever end a trial, and then the champion decides for everyone; none
promotes. Each may be asked after every record. The level, the chance that a challenger
which does no harm is stopped all the same, however long the trial goes on, is shared
out: `DRAW_LEVEL` to the check of the draw, the rest to the other four in equal parts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from stream.domain.lineup import BUCKETS
from stream.trials.book import Trial, TrialBook
from stream.trials.hazard import Hazard
from stream.trials.share import p_drawn, p_more

DRAW_LEVEL: Final = 0.001


class Rule(StrEnum):
    """What is asked."""

    DRAW = "draw"
    SCORES = "scores"
    APPROVAL = "approval"
    BAD_COUNT = "bad_by_count"
    BAD_AMOUNT = "bad_by_amount"


class TrialTerms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much harm is too much; differences are the challenger's less the champion's."""

    level: Annotated[float, Meta(ge=0.005, le=0.2)] = 0.05
    approval_fall_max: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    approval_rise_max: Annotated[float, Meta(gt=0, lt=1)] = 0.10
    bad_ratio_max: Annotated[float, Meta(ge=1, le=10)] = 1.0
    """Loans may go bad so many times as fast and still count as no worse."""
    unscored_max: Annotated[float, Meta(gt=0, lt=1)] = 0.02

    def level_of(self, rule: Rule) -> float:
        """The rule's part of the level."""
        return DRAW_LEVEL if rule is Rule.DRAW else (self.level - DRAW_LEVEL) / (len(Rule) - 1)


class Evidence(Struct, frozen=True):
    """A trial in the form in which the rules look at it."""

    trial: Trial
    by_count: Hazard
    by_amount: Hazard

    @classmethod
    def of(cls, book: TrialBook, trial: Trial) -> Evidence:
        """What the book holds now."""
        by_count, by_amount = book.bad_loans(trial)
        return cls(trial, Hazard(by_count), Hazard(by_amount))


def p_values(found: Evidence, terms: TrialTerms) -> dict[Rule, float]:
    """For each rule the chance, at any time, of so much evidence of harm where there is none.

    Two-sided intervals share their level between both ends, so the chances of one end
    are doubled: a rule's chance is at its level exactly when its interval excludes what
    the terms allow.
    """
    trial = found.trial
    rival, total = trial.challenger, trial.champion.applicants + trial.challenger.applicants
    approval = min(
        trial.approval.p_below(-terms.approval_fall_max),
        trial.approval.p_above(terms.approval_rise_max),
    )
    return {
        Rule.DRAW: p_drawn(rival.applicants, total, trial.key.share_bps / BUCKETS),
        Rule.SCORES: p_more(rival.unscored, rival.applicants, terms.unscored_max),
        Rule.APPROVAL: min(1.0, 2 * approval),
        Rule.BAD_COUNT: min(1.0, 2 * found.by_count.p_above(terms.bad_ratio_max)),
        Rule.BAD_AMOUNT: min(1.0, 2 * found.by_amount.p_above(terms.bad_ratio_max)),
    }


def harms(chances: dict[Rule, float], terms: TrialTerms) -> list[Rule]:
    """The rules that end the trial."""
    return [rule for rule, chance in chances.items() if chance <= terms.level_of(rule)]
