"""A trial as it stands, in numbers and in one line of words."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stream.domain.lineup import BUCKETS
from stream.trials.book import ArmCounts, Trial, TrialBook
from stream.trials.hazard import RATIO_MAX
from stream.trials.rules import Evidence, Rule, TrialTerms, harms, p_values
from stream.trials.search import Interval
from stream.trials.share import at_least, p_chi_square

REASON_MAX: Final = 200
"""Characters of a command's reason."""


def report(book: TrialBook, trial: Trial, terms: TrialTerms) -> dict[str, Any]:
    """Counts by arm, what each rule says with its interval, and what is due."""
    found = Evidence.of(book, trial)
    chances = p_values(found, terms)
    stops = harms(chances, terms)
    arms = {
        "champion": book.counts(trial, challenger=False),
        "challenger": book.counts(trial, challenger=True),
    }
    compared = {rule: _compared(rule, found, arms, terms) for rule in Rule}
    drawn = (trial.challenger.applicants, trial.approval.count)
    share = trial.key.share_bps / BUCKETS
    amount = trial.amount.interval(terms.level_of(Rule.APPROVAL))
    return {
        "trial": {**trial.key._asdict(), "began_at": trial.began_at},
        "arms": {name: _arm(counts) for name, counts in arms.items()},
        "rules": [
            {
                "rule": rule.value,
                "harm": rule in stops,
                "p_value": chances[rule],
                "level": terms.level_of(rule),
                **compared[rule],
            }
            for rule in Rule
        ],
        "approved_fen_difference": {
            "estimate": _scaled(trial.amount.estimate, book.amount_max_fen),
            "low": amount.low * book.amount_max_fen,
            "high": amount.high * book.amount_max_fen,
        },
        "draw_chi_square_p": p_chi_square(*drawn, share),
        "due": "stop" if stops else "go on",
        "because": _because([compared[rule]["words"] for rule in stops]),
    }


def _compared(
    rule: Rule, found: Evidence, arms: dict[str, ArmCounts], terms: TrialTerms
) -> dict[str, Any]:
    """What a rule compares: estimate, interval and words."""
    champion, rival = arms["champion"], arms["challenger"]
    level = terms.level_of(rule)
    if rule is Rule.DRAW:
        share = found.trial.key.share_bps / BUCKETS
        total = champion.applicants + rival.applicants
        words = f"{rival.applicants:,} of {total:,} drawn at {share:.2%}"
        return _told(_ratio(rival.applicants, total), None, words)
    if rule is Rule.SCORES:
        low = at_least(rival.unscored, rival.applicants, level)
        words = f"{rival.unscored:,} of {rival.applicants:,} without a score (over {low:.2%})"
        estimate = _ratio(rival.unscored, rival.applicants)
        return _told(estimate, Interval(low, 1.0), words)
    if rule is Rule.APPROVAL:
        interval, estimate = found.trial.approval.interval(level), found.trial.approval.estimate
        words = (
            f"approval {_points(estimate)} ({_points(interval.low)} to {_points(interval.high)})"
        )
        return _told(estimate, interval, words)
    by_count = rule is Rule.BAD_COUNT
    interval = (found.by_count if by_count else found.by_amount).interval(level)
    ours, theirs = (
        _ratio(arm.bad_loans, arm.loans) if by_count else _ratio(arm.bad_fen, arm.loans_fen)
        for arm in (champion, rival)
    )
    words = (
        f"bad by {'count' if by_count else 'amount'} {_percent(theirs)} for {_percent(ours)}, "
        f"{_times(interval)} times as fast"
    )
    return _told(theirs / ours if ours and theirs is not None else None, interval, words)


def _told(estimate: float | None, interval: Interval | None, words: str) -> dict[str, Any]:
    low, high = interval or (None, None)
    return {"estimate": estimate, "low": low, "high": high, "words": words}


def _arm(counts: ArmCounts) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(counts),
        "approval_rate": _ratio(counts.approved, counts.applicants),
        "bad_rate_by_count": _ratio(counts.bad_loans, counts.loans),
        "bad_rate_by_amount": _ratio(counts.bad_fen, counts.loans_fen),
    }


def _because(words: list[str]) -> str | None:
    """The evidence in one line, for the command that ends the trial; None while it goes on."""
    if not words:
        return None
    whole = "trial stopped: " + "; ".join(words)
    return whole if len(whole) <= REASON_MAX else f"{whole[: REASON_MAX - 1]}…"


def _scaled(part: float | None, whole: float) -> float | None:
    return None if part is None else part * whole


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _times(ratio: Interval) -> str:
    low, high = f"{ratio.low:.2f}", f"{ratio.high:.2f}"
    return f"{low} to {high}" if ratio.high < RATIO_MAX else f"at least {low}"


def _points(difference: float | None) -> str:
    return "unknown" if difference is None else f"{100 * difference:+.1f} points"


def _percent(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate:.2%}"
