"""The ledger is what its decisions add up to, however they arrive, and a draft is only a draft."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from builders import NOW_MS, FakeViews, bureau, entry, record, token, under
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_cases import POLICY, TOKEN

from stream.codec.decision_v1 import decode_decision, encode_decision
from stream.config import Settings
from stream.domain.application import Segment
from stream.domain.decision import Decision, Outcome
from stream.domain.draft import Draft
from stream.domain.instant import from_ms
from stream.domain.ledger import Ledger
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Pipeline


def _sound() -> Decision:
    models = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
    views = FakeViews(entry(), bureau(utilisation_pct=10.0))
    app = record(declared={"annual_income_fen": 20_000_000, "employment_years": 10})
    drafts = {0: Draft(Ledger())}
    return Pipeline(models, POLICY).run([app], drafts, under(views)).decisions[0]


APPROVAL = _sound()


def _decision(number: int, **changes: Any) -> Decision:
    changes.setdefault("application_id", f"app-{number:08d}")
    return msgspec.structs.replace(APPROVAL, **changes)


@st.composite
def decisions(draw: st.DrawFn) -> list[Decision]:
    """Approvals and referrals of a few people, with repeats, in the order of their moments."""
    numbers = draw(st.lists(st.integers(0, 30), max_size=30))
    made = {}
    for number in dict.fromkeys(numbers):
        approved = draw(st.booleans())
        made[number] = _decision(
            number,
            applicant_token=token(draw(st.integers(1, 4))),
            segment=draw(st.sampled_from(Segment)),
            outcome=Outcome.APPROVE if approved else Outcome.REFER,
            approved_amount_fen=draw(st.integers(100_000, 9_000_000)) if approved else 0,
            decided_at=from_ms(NOW_MS + len(made) * 1_000),
        )
    return [made[number] for number in numbers]


def _state(ledger: Ledger | Draft, since_ms: int = 0) -> tuple[object, ...]:
    people = [ledger.exposure_fen(token(number)) for number in range(1, 5)]
    windows = [ledger.approved_since(segment, since_ms) for segment in Segment]
    ids = [ledger.content_of(f"app-{number:08d}") for number in range(31)]
    return people, windows, ids


def _expected(given_: list[Decision], since_ms: int = 0) -> tuple[object, ...]:
    """The same state, computed the plain way from the list of decisions."""
    once = {decision.application_id: decision for decision in given_}
    approved = [each for each in once.values() if each.outcome is Outcome.APPROVE]
    people = [
        sum(each.approved_amount_fen for each in approved if each.applicant_token == token(number))
        for number in range(1, 5)
    ]
    late = [each for each in approved if each.decided_at >= from_ms(since_ms)]
    windows = []
    for segment in Segment:
        amounts = [each.approved_amount_fen for each in late if each.segment is segment]
        windows.append((len(amounts), sum(amounts)))
    ids = [
        once[each].application_sha256 if each in once else None
        for each in (f"app-{number:08d}" for number in range(31))
    ]
    return people, windows, ids


@settings(deadline=None)
@given(decisions(), st.sets(st.integers(0, 30)), st.integers(0, 30))
def test_any_split_into_batches_gives_the_same_ledger(
    given_: list[Decision], cuts: set[int], seconds: int
) -> None:
    """One by one from the topic or batch by batch through drafts: the state is the same."""
    restored, drafted = Ledger(), Ledger()
    for decision in given_:
        restored.take(decode_decision(encode_decision(decision)))
    edges = [0, *sorted(cut for cut in cuts if cut < len(given_)), len(given_)]
    for start, end in pairwise(edges):
        draft = Draft(drafted)
        for decision in given_[start:end]:
            if draft.content_of(decision.application_id) is None:
                draft.reserve(decision.application_id, decision.application_sha256)
                draft.take(decision)
        seen = _state(draft)
        draft.apply(drafted)
        assert seen == _state(drafted) == _expected(given_[:end])
    assert _state(restored) == _expected(given_)
    since_ms = NOW_MS + seconds * 1_000
    assert _state(restored, since_ms) == _state(drafted, since_ms) == _expected(given_, since_ms)


@settings(deadline=None)
@given(decisions(), decisions())
def test_a_dropped_draft_leaves_nothing(before: list[Decision], dropped: list[Decision]) -> None:
    """What an aborted batch wrote on its sheet never reaches the ledger."""
    ledger = Ledger()
    for decision in before:
        ledger.take(decision)
    expected = _state(ledger)
    draft = Draft(ledger)
    for decision in dropped:
        draft.reserve(decision.application_id, decision.application_sha256)
        draft.take(decision)
    assert expected == _state(ledger) == _state(Draft(ledger))


def test_the_same_decision_twice_changes_nothing() -> None:
    """A restore that meets a decision again, even with another amount, keeps the first."""
    ledger = Ledger()
    ledger.take(APPROVAL)
    ledger.take(APPROVAL)
    ledger.take(msgspec.structs.replace(APPROVAL, approved_amount_fen=1))
    assert ledger.exposure_fen(TOKEN) == APPROVAL.approved_amount_fen
    assert len(ledger) == 1


def test_the_window_keeps_the_edge_and_forgets_before_it() -> None:
    """An approval exactly at the edge counts; one a millisecond older does not."""
    ledger = Ledger()
    ledger.take(_decision(1, decided_at=from_ms(NOW_MS - 1)))
    ledger.take(_decision(2, decided_at=from_ms(NOW_MS)))
    amount_fen = APPROVAL.approved_amount_fen
    assert ledger.approved_since(Segment.CONSUMER, NOW_MS - 1) == (2, 2 * amount_fen)
    assert ledger.approved_since(Segment.CONSUMER, NOW_MS) == (1, amount_fen)
    assert ledger.approved_since(Segment.CONSUMER, NOW_MS + 1) == (0, 0)
    assert ledger.exposure_fen(TOKEN) == 2 * amount_fen


def test_a_reserved_id_is_known_before_it_is_decided() -> None:
    """The second of two equal ids in a batch is seen while the first still waits."""
    draft = Draft(Ledger())
    draft.reserve("app-00000001", "abc")
    assert draft.content_of("app-00000001") == "abc"
    assert draft.content_of("app-00000002") is None
