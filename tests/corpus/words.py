"""What became of a record, in the words of the tables."""

from __future__ import annotations

from collections.abc import Iterator

from corpus.bench import Answer

from stream.domain.decision import Decision, Outcome


def outcome_of(decision: Decision) -> str:
    """A decision in the words of the catalogue."""
    if decision.outcome is Outcome.APPROVE:
        full = decision.approved_amount_fen == decision.requested_amount_fen
        return "decided as usual" if full else "approved less"
    return f"refer {decision.reasons[0].code}"


def outcomes(got: Answer) -> Iterator[str]:
    """Everything that came out, in the words of the catalogue."""
    yield from map(outcome_of, got.decisions)
    for letter in got.letters:
        headers = dict(letter.headers)
        reason, field = (headers[f"x-error-{part}"] for part in ("reason", "field"))
        yield f"dead_letter {reason.decode()} {field.decode()}"  # type: ignore[union-attr]
    yield from ["repeat"] * got.repeats
    yield from ["forwarded"] * got.strays
