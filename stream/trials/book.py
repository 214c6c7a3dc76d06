"""What is known of the trials of a model: who was drawn, what was decided, which loans went bad.

A trial is one line-up: another version, share or salt begins another. Its unit is the
applicant, counted at the first application that the models were asked of: one
person's cases are not independent of each other. Audit records come once each in a fixed
order; outcomes may come twice and before their decision. All times of outcomes are those
of their records, as it counts when something became known, not when it happened.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct

from stream.domain.application import Segment
from stream.domain.decision import Audit, ModelInForce, Outcome
from stream.domain.instant import to_ms
from stream.domain.lineup import BUCKETS, Alias
from stream.domain.outcome import LoanOutcome, OutcomeEvent
from stream.trials.difference import Difference
from stream.trials.hazard import BadLoan
from stream.watch.vintage import month_of, told_by

_ASKED = {"features", "model"}
"""Rules that only a case meets which the models are asked of."""


_COMES, _BAD, _GONE = 0, 1, 2


class TrialKey(NamedTuple):
    """The line-up of a trial."""

    champion: str
    challenger: str
    share_bps: int
    salt: str


class Loan(Struct):
    """An approval within a trial; without a key its decision has not been read yet."""

    key: TrialKey | None = None
    challenger: bool = False
    month: int = 0
    amount_fen: int = 0
    paid_ms: int | None = None
    bad_ms: int | None = None
    gone_ms: int | None = None
    """Paid back."""


class ArmCounts(Struct):
    """One arm in numbers; loans are those paid out."""

    applicants: int = 0
    approved: int = 0
    approved_fen: int = 0
    unscored: int = 0
    """The models were asked and gave no score, or lacked what they need for one."""
    loans: int = 0
    loans_fen: int = 0
    bad_loans: int = 0
    bad_fen: int = 0


class Trial(Struct):
    """What decisions say of one trial."""

    key: TrialKey
    began_at: str
    approval: Difference
    amount: Difference
    """Of the approved amount, 0 for a referral, in parts of the largest possible."""
    champion: ArmCounts
    challenger: ArmCounts
    seen: set[int]
    """Applicants counted, as 64 bits of a hash."""

    def arm(self, *, challenger: bool) -> ArmCounts:
        """The numbers of an arm."""
        return self.challenger if challenger else self.champion


class TrialBook:
    """The trials of the segments that one model decides, the newest last."""

    def __init__(self, segments: Iterable[Segment], amount_max_fen: int) -> None:
        """`amount_max_fen` is the most that may be approved; more counts as that."""
        self._segments, self.amount_max_fen = frozenset(segments), amount_max_fen
        self.trials: dict[TrialKey, Trial] = {}
        self._loans: dict[str, Loan] = {}

    @property
    def newest(self) -> Trial | None:
        """The trial that a decision was last made in."""
        return next(reversed(self.trials.values()), None)

    def hear_audit(self, audit: Audit) -> None:
        """Take one decision; one that is in no trial changes nothing."""
        decision, key = audit.decision, key_of(audit.standing.models)
        asked = any(hit.rule in _ASKED for hit in audit.rules)
        if key is None or not asked or decision.stage != 1:
            return
        if decision.segment not in self._segments:
            return
        trial = self.trials.pop(key, None) or _blank(key, decision.decided_at)
        self.trials[key] = trial
        person = _hash(decision.applicant_token)
        if person not in trial.seen:
            trial.seen.add(person)
            self._count(trial, audit)

    def hear_outcome(self, outcome: LoanOutcome, known_ms: int) -> None:
        """Take what became known of a loan at `known_ms`; the earliest word of each kind stands."""
        if outcome.segment not in self._segments:
            return
        loan, said = self._loans.setdefault(outcome.decision_id, Loan()), told_by(outcome)
        loan.paid_ms = _earlier(loan.paid_ms, known_ms)
        if said.bad_ms is not None:
            loan.bad_ms = _earlier(loan.bad_ms, known_ms)
        if outcome.event is OutcomeEvent.REPAID:
            loan.gone_ms = _earlier(loan.gone_ms, known_ms)

    def counts(self, trial: Trial, *, challenger: bool) -> ArmCounts:
        """An arm with its loans as far as outcomes go."""
        arm = trial.arm(challenger=challenger)
        loans = [each for each in self._paid(trial.key) if each.challenger is challenger]
        bad = [each for each in loans if each.bad_ms is not None]
        return ArmCounts(
            applicants=arm.applicants,
            approved=arm.approved,
            approved_fen=arm.approved_fen,
            unscored=arm.unscored,
            loans=len(loans),
            loans_fen=sum(each.amount_fen for each in loans),
            bad_loans=len(bad),
            bad_fen=sum(each.amount_fen for each in bad),
        )

    def bad_loans(self, trial: Trial) -> tuple[list[BadLoan], list[BadLoan]]:
        """Bad loans in the order in which they became known: by count, and by amount."""
        return at_risk(self._paid(trial.key), self.amount_max_fen)

    def _paid(self, key: TrialKey) -> Iterator[Loan]:
        return (each for each in self._loans.values() if each.key == key and each.paid_ms)

    def _count(self, trial: Trial, audit: Audit) -> None:
        decision, challenger = audit.decision, audit.standing.arm is Alias.CHALLENGER
        approved, arm = decision.outcome is Outcome.APPROVE, trial.arm(challenger=challenger)
        amount_fen = decision.approved_amount_fen if approved else 0
        arm.applicants += 1
        arm.approved += approved
        arm.approved_fen += amount_fen
        arm.unscored += decision.score_points is None
        part = min(1.0, amount_fen / self.amount_max_fen)
        trial.approval.take(float(approved), challenger=challenger)
        trial.amount.take(part, challenger=challenger)
        if approved:
            loan = self._loans.setdefault(decision.decision_id, Loan())
            loan.key, loan.challenger = trial.key, challenger
            loan.month, loan.amount_fen = month_of(to_ms(decision.decided_at)), amount_fen


def key_of(models: Iterable[ModelInForce]) -> TrialKey | None:
    """The trial that a line-up stands for; None where nobody challenges."""
    stands = {each.alias: each for each in models}
    champion, rival = stands.get(Alias.CHAMPION.value), stands.get(Alias.CHALLENGER.value)
    if champion is None or rival is None:
        return None
    return TrialKey(champion.version, rival.version, rival.share_bps, rival.salt)


def at_risk(loans: Iterable[Loan], amount_max_fen: int) -> tuple[list[BadLoan], list[BadLoan]]:
    """Each loan as it goes bad, with what is at risk of its month just before, count and amount.

    A loan is at risk from when it is known to be paid out until it is known to be bad or
    paid back. What becomes known in the same millisecond: loans come first, go last.
    """
    moves: list[tuple[int, int, int, Loan]] = []
    for number, each in enumerate(loans):
        end_ms, why = _end(each)
        moves.append((each.paid_ms or 0, _COMES, number, each))
        if why:
            moves.append((end_ms, why, number, each))
    count: dict[tuple[int, bool], int] = defaultdict(int)
    amount: dict[tuple[int, bool], int] = defaultdict(int)
    by_count, by_amount = [], []
    for _, why, _, each in sorted(moves):
        here, size = (each.month, each.challenger), min(each.amount_fen, amount_max_fen)
        if why == _BAD:
            ours, theirs = (each.month, False), (each.month, True)
            by_count.append(BadLoan(each.challenger, 1.0, count[ours], count[theirs]))
            weight = size / amount_max_fen
            by_amount.append(BadLoan(each.challenger, weight, amount[ours], amount[theirs]))
        sign = 1 if why == _COMES else -1
        count[here] += sign
        amount[here] += sign * size
    return by_count, by_amount


def _end(loan: Loan) -> tuple[int, int]:
    """When a loan is no longer at risk and why; 0 and 0 while it is."""
    if loan.bad_ms is not None and loan.bad_ms <= (loan.gone_ms or loan.bad_ms):
        return loan.bad_ms, _BAD
    return (loan.gone_ms, _GONE) if loan.gone_ms is not None else (0, 0)


def _blank(key: TrialKey, began_at: str) -> Trial:
    share = key.share_bps / BUCKETS
    return Trial(
        key, began_at, Difference.blank(share), Difference.blank(share), ArmCounts(), ArmCounts(),
        set(),
    )  # fmt: skip


def _earlier(known_ms: int | None, now_ms: int) -> int:
    return now_ms if known_ms is None else min(known_ms, now_ms)


def _hash(applicant_token: str) -> int:
    return int.from_bytes(hashlib.sha256(applicant_token.encode()).digest()[:8], "big")
