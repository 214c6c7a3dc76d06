"""Holds what the consumer announced against what it owed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from stream.codec.keys import partition_of
from stream.conform.cast import PREFIX, Case
from stream.conform.envelope import header_fault
from stream.conform.rules import ANNOUNCED, LATENCY, NOTHING_ELSE, RULES
from stream.conform.stage import Played
from stream.conform.verdict import Finding, some
from stream.conform.watch import Seen, decision_named
from stream.domain.instant import to_ms
from stream.domain.outcome import LoanOutcome, OutcomeEvent

UNTIMED = frozenset(
    ("connected", "open", "burst", "kill while paying", "kill at rest", "repeat after a kill")
)
"""Rules whose waiting is the test's doing and not the consumer's."""


class Payment(NamedTuple):
    """One announced payment; the same bytes again are a repeat and no second payment."""

    outcome: LoanOutcome
    at: float


def judge(played: Played, seen: Sequence[Seen], partitions: int) -> list[Finding]:
    """A finding for every rule that was played, then those about the outcomes as a whole."""
    payments = _payments(seen)
    by_rule: dict[str, list[Case]] = defaultdict(list)
    for case in played.cases:
        by_rule[case.rule].append(case)
    findings = [
        _about(rule, by_rule[rule], payments, played.early) for rule in RULES if rule in by_rule
    ]
    known = {case.decision_id for case in played.cases}
    findings.append(_announced(seen, known, partitions))
    findings.append(_nothing_else(seen, known))
    findings.append(_latency(played, payments))
    return findings


def _payments(seen: Sequence[Seen]) -> dict[str, list[Payment]]:
    """Distinct `disbursed` records of each decision, in the order of arrival."""
    found: dict[str, dict[bytes, Payment]] = defaultdict(dict)
    for each in seen:
        outcome = _outcome(each.value)
        if isinstance(outcome, LoanOutcome) and outcome.event is OutcomeEvent.DISBURSED:
            found[outcome.decision_id].setdefault(each.value, Payment(outcome, each.at))
    return {decision_id: list(distinct.values()) for decision_id, distinct in found.items()}


def _outcome(value: bytes) -> LoanOutcome | str:
    """The outcome in a record, or what is wrong with it."""
    try:
        outcome = msgspec.json.decode(value, type=LoanOutcome)
        to_ms(outcome.occurred_at)
    except ValueError as error:  # msgspec's errors are ValueErrors too
        return str(error)
    return outcome


def _about(
    rule: str, cases: Sequence[Case], payments: dict[str, list[Payment]], early: set[str]
) -> Finding:
    wrong: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        fault = _fault(case, payments.get(case.decision_id, []), early)
        if fault:
            wrong[fault].append(case.decision_id)
    owed = sum(case.pay_fen is not None for case in cases)
    kept = len(cases) - owed
    parts = [f"{owed:,} paid"] if owed else []
    parts += [f"{kept:,} left unpaid"] if kept else []
    if wrong:
        parts = [f"{len(ids):,} {fault} ({some(ids)})" for fault, ids in wrong.items()]
    ids = tuple(each for listed in wrong.values() for each in listed)
    return Finding(rule, not wrong, ", ".join(parts), *RULES[rule], ids)


def _fault(case: Case, payments: Sequence[Payment], early: set[str]) -> str | None:
    if case.decision_id in early:
        return "paid before the commit"
    if case.pay_fen is None:
        return "paid" if payments else None
    if not payments:
        return "not paid"
    if len(payments) > 1:
        return "paid more than once"
    if payments[0].outcome.amount_fen != case.pay_fen:
        return "paid with another amount"
    return None


def _announced(seen: Sequence[Seen], known: set[str], partitions: int) -> Finding:
    """Faults of the records about this run's decisions, by kind."""
    faults: dict[str, list[str]] = defaultdict(list)
    count = 0
    for each in seen:
        name = decision_named(each.value)
        if name and name not in known:
            continue
        count += 1
        fault = _record_fault(each, partitions)
        if fault is not None:
            faults[fault].append(name or "no decision_id")
    parts = [f"{fault}: {len(ids):,} ({some(ids)})" for fault, ids in faults.items()]
    detail = "; ".join(parts) if parts else f"{count:,} records"
    ids = tuple(each for listed in faults.values() for each in listed)
    return Finding("outcome records", not faults, detail, *ANNOUNCED, ids)


def _record_fault(seen: Seen, partitions: int) -> str | None:
    outcome = _outcome(seen.value)
    if isinstance(outcome, str):
        return outcome
    if seen.key != outcome.applicant_token.encode():
        return "the key is not the applicant_token"
    if seen.partition != partition_of(seen.key, partitions):
        return "not in the murmur2 partition of its key"
    return header_fault(seen.headers, "loan.outcome.v1", outcome.outcome_id)


def _nothing_else(seen: Sequence[Seen], known: set[str]) -> Finding:
    strange: list[str] = []
    earlier = 0
    for each in seen:
        outcome = _outcome(each.value)
        if isinstance(outcome, str) or outcome.decision_id in known:
            continue
        if outcome.application_id.startswith(PREFIX):
            earlier += 1
        else:
            strange.append(outcome.decision_id)
    detail = f"{len(strange):,} ({some(strange)})" if strange else "nothing"
    if earlier:
        detail += f"; {earlier:,} outcomes of earlier runs on this topic were passed over"
    return Finding("nothing else", not strange, detail, *NOTHING_ELSE, tuple(strange))


def _latency(played: Played, payments: dict[str, list[Payment]]) -> Finding:
    """Percentiles for the terminal; a hint, no rule."""
    waits = [
        max(0.0, payments[case.decision_id][0].at - played.committed_at[case.decision_id])
        for case in played.cases
        if case.rule not in UNTIMED and case.pay_fen is not None and case.decision_id in payments
    ]
    if not waits:
        return Finding("latency", None, "nothing was paid", *LATENCY)
    p50, p99 = np.percentile(np.array(waits) * 1_000, [50, 99])
    detail = f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms over {len(waits):,} payments"
    return Finding("latency", None, detail, *LATENCY)
