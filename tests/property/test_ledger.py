"""The ledger is a set of facts: order, repetition, batches and forgetting do not change answers.

Some of the events drawn name an application of somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from builders import NOW_MS, token
from hypothesis import given, settings
from hypothesis import strategies as st
from loan_records import decision_of

from stream.codec.keys import decision_id
from stream.domain.application import Segment
from stream.domain.application_event import ApplicationEvent, EventKind
from stream.domain.decision import Decision, Outcome, Referral, ReviewGiven
from stream.domain.draft import Draft
from stream.domain.instant import from_ms, to_ms
from stream.domain.ledger import Ledger
from stream.limits import CLOCK_SKEW_MS_MAX, LEDGER_WINDOW_MS

Fact = Decision | ApplicationEvent
PEOPLE, IDS = 3, 8
DAY_MS = 86_400_000
_REFERRAL = Referral("credit", "policy", overridable=True, due_at=from_ms(NOW_MS))
_OF_APPLICATION = (EventKind.CANCEL, EventKind.EXPIRY, EventKind.HUMAN_REVIEW_REQUEST)


def application_id(number: int) -> str:
    """Id of a numbered application."""
    return f"application-{number}"


def person(number: int) -> str:
    """Whose it is."""
    return token(number % PEOPLE)


def decided(number: int, outcome: Outcome, amount_fen: int, at_ms: int, lag_ms: int) -> Decision:
    """A first-stage decision, `lag_ms` after the application was submitted."""
    return msgspec.structs.replace(
        decision_of(number, outcome),
        applicant_token=person(number),
        decision_id=decision_id(person(number), application_id(number)),
        segment=list(Segment)[number % 2],
        approved_amount_fen=amount_fen if outcome is Outcome.APPROVE else 0,
        referral=None if outcome is Outcome.APPROVE else _REFERRAL,
        submitted_at=from_ms(at_ms - lag_ms),
        decided_at=from_ms(at_ms),
        application_sha256=f"{number:064x}",
    )


def answered(first: Decision, outcome: Outcome, amount_fen: int, after_ms: int) -> Decision:
    """The second-stage decision on a referral."""
    at = from_ms(to_ms(first.decided_at) + after_ms)
    return msgspec.structs.replace(
        first,
        decision_id=decision_id(first.applicant_token, first.application_id, stage=2),
        outcome=outcome,
        approved_amount_fen=amount_fen if outcome is Outcome.APPROVE else 0,
        decided_at=at,
        stage=2,
        review=ReviewGiven(f"review-{first.application_id}", "reviewer-1", "approve", at),
    )


def event(number: int, kind: EventKind, at_ms: int, astray: int = 0) -> ApplicationEvent:
    """What is said of an application or of the person behind it; astray, of somebody else's."""
    said_by = person(number + astray)
    return ApplicationEvent(
        f"event-{number}-{at_ms}", kind, said_by, from_ms(at_ms), application_id(number)
    )


def is_owners(fact: ApplicationEvent) -> bool:
    """Whether an event is of the person whose application it names."""
    assert fact.application_id is not None
    return fact.applicant_token == person(int(fact.application_id.rpartition("-")[2]))


@st.composite
def facts(draw: st.DrawFn, span_days: int = 0) -> list[Fact]:
    """Everything that is ever said of a few applications of a few people, each once."""
    moments = st.integers(NOW_MS - span_days * DAY_MS - 60_000, NOW_MS)
    lags = st.integers(-CLOCK_SKEW_MS_MAX, 600_000)
    outcomes = st.sampled_from(Outcome)
    found: list[Fact] = []
    for number in draw(st.sets(st.integers(0, IDS - 1))):
        first = decided(number, draw(outcomes), draw(st.integers(1, 9)), draw(moments), draw(lags))
        found.append(first)
        if first.outcome is Outcome.REFER and draw(st.booleans()):
            after_ms = draw(st.integers(1, (span_days + 1) * DAY_MS))
            found.append(answered(first, draw(outcomes), draw(st.integers(1, 9)), after_ms))
    astray = st.integers(0, PEOPLE - 1)
    said = st.tuples(st.integers(0, IDS - 1), st.sampled_from(EventKind), moments, astray)
    found += [event(*each) for each in draw(st.sets(said, max_size=6))]
    return found


@st.composite
def as_it_came(draw: st.DrawFn, span_days: int = 0) -> list[Fact]:
    """The same in an order that can happen: no answer before its referral."""
    shuffled = draw(st.permutations(draw(facts(span_days))))
    seen: set[str] = set()
    late: list[Fact] = []
    found: list[Fact] = []
    for fact in shuffled:
        if isinstance(fact, Decision) and fact.stage == 2 and fact.application_id not in seen:
            late.append(fact)
            continue
        found.append(fact)
        if isinstance(fact, Decision):
            seen.add(fact.application_id)
    return found + late


def whole(ledger: Ledger) -> dict[str, Any]:
    """All of a ledger's state, with what it lists by hour as sets."""
    state: dict[str, Any] = msgspec.structs.asdict(ledger)
    for name in ("decided_by_hour", "told_by_hour"):
        state[name] = {hour: set(ids) for hour, ids in state[name].items()}
    return state


class Answers(NamedTuple):
    """Everything a ledger or a draft is ever asked."""

    exposures: list[int]
    revoked: list[int | None]
    windows: list[tuple[int, int]]
    contents: list[str | None]
    referrals: list[object]
    reviews: list[str | None]
    promises: list[tuple[str, int] | None]
    cancelled: list[bool]
    asked: list[bool]


def ask(of: Ledger | Draft) -> Answers:
    """All questions about all people and ids; the window is asked whole, which forgets nothing."""
    people, ids = [token(n) for n in range(PEOPLE)], [application_id(n) for n in range(IDS)]
    return Answers(
        [of.exposure_fen(each) for each in people],
        [of.revoked_at_ms(each) for each in people],
        [of.approved_since(segment, 0) for segment in Segment],
        [of.content_of(each) for each in ids],
        [of.referral(each) for each in ids],
        [of.review_of(each) for each in ids],
        [of.promise_of(each) for each in ids],
        [of.cancelled(whose, each) for whose in people for each in ids],
        [of.human_asked(whose, each) for whose in people for each in ids],
    )


def taken(given_: Sequence[Fact]) -> Ledger:
    """A ledger of these facts, in this order."""
    ledger = Ledger()
    for fact in given_:
        ledger.take(fact)
    return ledger


def put(draft: Draft, fact: Fact) -> None:
    """Put a fact on a sheet as the pipeline does: no stage is decided twice."""
    if isinstance(fact, Decision) and fact.stage == 1:
        if draft.content_of(fact.application_id) is not None:
            return
        draft.reserve(fact.application_id, fact.application_sha256)
    elif isinstance(fact, Decision) and draft.review_of(fact.application_id) is not None:
        return
    draft.take(fact)


@settings(deadline=None)
@given(facts(), st.data())
def test_order_and_repetition_change_nothing(given_: list[Fact], data: st.DataObject) -> None:
    """Any order of decisions of both stages and events, any of them again: the same ledger."""
    repeats = data.draw(st.lists(st.sampled_from(given_)) if given_ else st.just([]))
    other = data.draw(st.permutations([*given_, *repeats]))
    assert whole(taken(given_)) == whole(taken(other))


@settings(deadline=None)
@given(as_it_came(), st.sets(st.integers(0, 20)), st.data())
def test_any_split_over_drafts_answers_as_the_ledger_alone(
    given_: list[Fact], cuts: set[int], data: st.DataObject
) -> None:
    """Batch on batch, each prepared while the one below commits: every answer is the ledger's."""
    ledger, before = Ledger(), Ledger()
    twice = data.draw(st.lists(st.sampled_from(given_))) if given_ else []
    below: Draft | None = None
    for start, end in pairwise([0, *sorted(c for c in cuts if c < len(given_)), len(given_)]):
        draft = Draft(below or ledger)
        for fact in given_[start:end]:
            put(draft, fact)
            if fact in twice:
                put(draft, fact)
        expected = ask(taken(given_[:end]))
        assert expected == ask(draft)
        if below is not None:
            below.apply(ledger)
        draft.rest_on(ledger)
        assert expected == ask(draft)
        assert whole(ledger) == whole(before)
        below, before = draft, taken(given_[:end])
    if below is not None:
        below.apply(ledger)
    assert whole(taken(given_)) == whole(ledger)


@settings(deadline=None)
@given(facts())
def test_exposure_is_the_plain_sum_of_what_is_promised_and_not_released(given_: list[Fact]) -> None:
    """Approvals of both stages, less those cancelled or lapsed before or after, per person."""
    ledger = taken(given_)
    released = {
        fact.application_id
        for fact in given_
        if isinstance(fact, ApplicationEvent)
        and fact.kind in _OF_APPLICATION[:2]
        and is_owners(fact)
    }
    for number in range(PEOPLE):
        expected = sum(
            fact.approved_amount_fen
            for fact in given_
            if isinstance(fact, Decision)
            and fact.applicant_token == token(number)
            and fact.application_id not in released
        )
        assert expected == ledger.exposure_fen(token(number))


@settings(deadline=None)
@given(facts(), st.data())
def test_what_is_said_of_somebody_elses_application_changes_nothing_of_it(
    given_: list[Fact], data: st.DataObject
) -> None:
    """With or without events that name another's application, in any order, from a snapshot too.

    What their sender's own applications are told is left: a withdrawn consent is of the person.
    """
    astray = [
        fact
        for fact in given_
        if isinstance(fact, ApplicationEvent)
        and fact.kind is not EventKind.CONSENT_REVOKED
        and not is_owners(fact)
    ]
    without = taken([fact for fact in given_ if fact not in astray])
    shuffled = data.draw(st.permutations(given_))
    cut = data.draw(st.integers(0, len(shuffled)))
    packed = msgspec.msgpack.encode(taken(shuffled[:cut]))
    ledger = msgspec.msgpack.decode(packed, type=Ledger)
    for fact in shuffled[cut:]:
        ledger.take(fact)
    for number in range(IDS):
        whose = (person(number), application_id(number))
        assert without.cancelled(*whose) == ledger.cancelled(*whose)
        assert without.human_asked(*whose) == ledger.human_asked(*whose)
    assert ask(without)[:7] == ask(ledger)[:7]


@settings(deadline=None)
@given(facts(span_days=200))
def test_what_was_said_astray_is_forgotten_as_well(given_: list[Fact]) -> None:
    """No event stays for ever: once all hours are past, nothing of what was told is held."""
    ledger = taken(given_)
    end_ms = NOW_MS + 3 * LEDGER_WINDOW_MS
    ledger.take(decided(IDS, Outcome.APPROVE, 1, end_ms, lag_ms=0))
    ledger.forget()
    assert (set(), set(), {}) == (ledger.released, ledger.asked, ledger.told_by_hour)


@settings(deadline=None)
@given(as_it_came(span_days=200), st.sets(st.integers(0, 20)))
def test_forgetting_between_batches_keeps_exposure_plain_and_never_negative(
    given_: list[Fact], cuts: set[int]
) -> None:
    """As the loop does it: land, forget, next batch on top; what is left adds up."""
    ledger = Ledger()
    below: Draft | None = None
    for start, end in pairwise([0, *sorted(c for c in cuts if c < len(given_)), len(given_)]):
        draft = Draft(below or ledger)
        for fact in given_[start:end]:
            put(draft, fact)
        if below is not None:
            below.apply(ledger)
            ledger.forget()
        draft.rest_on(ledger)
        assert all(fen >= 0 for fen in ask(draft).exposures)
        held = [ledger.promise_of(application_id(n)) for n in range(IDS)]
        for number in range(PEOPLE):
            own = sum(each[1] for each in held if each and each[0] == token(number))
            assert own == ledger.exposure_fen(token(number))
        below = draft


@settings(deadline=None)
@given(as_it_came(span_days=200))
def test_a_forgotten_id_is_older_than_what_is_still_decided(given_: list[Fact]) -> None:
    """Who sends a forgotten id again is refused: it was submitted before the horizon."""
    ledger = taken(given_)
    known = {each.application_id: each for each in given_ if isinstance(each, Decision)}
    ledger.forget()
    for number, decision in known.items():
        if ledger.content_of(number) is None:
            assert to_ms(decision.submitted_at) < ledger.horizon_ms


def test_the_window_holds_its_days_and_what_a_clock_may_be_ahead() -> None:
    """An id stays known for the window after its decision, and goes with the hour after that."""
    first = decided(1, Outcome.APPROVE, 5, NOW_MS, lag_ms=-CLOCK_SKEW_MS_MAX)
    later_ms = NOW_MS + LEDGER_WINDOW_MS
    ledger = taken([first, decided(2, Outcome.APPROVE, 5, later_ms, lag_ms=0)])
    assert ledger.forget() == 0
    ledger.take(decided(3, Outcome.APPROVE, 5, later_ms + 2 * 3_600_000, lag_ms=0))
    assert ledger.forget() == 1
    assert ledger.content_of(application_id(1)) is None
    assert ledger.exposure_fen(person(1)) == 0


def test_a_decision_made_by_a_clock_set_back_is_known_until_its_application_is_too_old() -> None:
    """Submitted a day after it was "decided": it is kept by the day it was submitted."""
    first = decided(1, Outcome.APPROVE, 5, NOW_MS, lag_ms=-DAY_MS)
    at_ms = NOW_MS + LEDGER_WINDOW_MS + DAY_MS
    ledger = taken([first, decided(2, Outcome.APPROVE, 5, at_ms, lag_ms=0)])
    ledger.forget()
    assert ledger.content_of(application_id(1)) is not None
    assert to_ms(first.submitted_at) >= ledger.horizon_ms
