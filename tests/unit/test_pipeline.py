"""The path of an application, with the shipped models and policy: bytes in, bytes out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from builders import NOW_MS, FakeViews, at_home, bureau, entry, raw, record, token, under
from corpus.catalogue import BAD
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_cases import POLICY, TOKEN

from stream.batch import Batch
from stream.codec.dead_letter_v1 import dead_letter_key
from stream.codec.decision_v1 import AUDITED, decode_audit, decode_decision
from stream.codec.keys import decision_id, partition_of
from stream.config import Settings
from stream.domain.decision import Audit, Decision, Outcome
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import AUDIT, DEAD_LETTERS, DECISIONS
from stream.domain.whitelist import WhitelistEntry
from stream.edge.onnx_scorer import load_models
from stream.errors import ModelError
from stream.pipeline import Pipeline
from stream.ports import FloatMatrix, Record, Views
from stream.scoring.manifest import Manifest
from stream.scoring.scorecard import log_odds_of_bad, to_points

MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
PIPELINE = Pipeline(MODELS, POLICY)
GOOD = {"declared": {"annual_income_fen": 20_000_000, "employment_years": 10}}
SAFE = bureau(utilisation_pct=10.0)
VIEWS = FakeViews(entry(), SAFE)
PARTITIONS = 3


def _run(
    *records: Record,
    views: Views = VIEWS,
    ledgers: Sequence[Ledger] = (),
    pipeline: Pipeline = PIPELINE,
    now_ms: int = NOW_MS,
) -> Batch:
    """One batch of records on their own partitions, committed to `ledgers`."""
    held = ledgers or [Ledger() for _ in range(PARTITIONS)]
    drafts = {number: Draft(ledger) for number, ledger in enumerate(held)}
    here = [at_home(each, len(held)) for each in records]
    batch = pipeline.run(here, drafts, under(views, now_ms, partitions=len(held)))
    for number, draft in drafts.items():
        draft.apply(held[number])
    return batch


def _decide(views: Views = VIEWS, **changes: Any) -> Decision:
    """The one decision on the good application with `changes` laid over it."""
    (decision,) = _run(record(**{**GOOD, **changes}), views=views).decisions
    return decision


def _codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_a_sound_application_is_approved_as_asked() -> None:
    """In full, at the offer's price, above the cut-off, inside the deadline, with no reason."""
    decision = _decide()
    assert Outcome.APPROVE is decision.outcome
    assert (
        decision.approved_amount_fen, decision.apr_bps, decision.price_tier
    ) == (5_000_000, 1_000, "tier_b")  # fmt: skip
    assert (decision.counter_offer, decision.reasons, decision.referral) == (False, (), None)
    assert decision.score_points is not None
    assert decision.score_points >= POLICY.segments[decision.segment].cut_off_points
    assert decision.deadline_met
    assert (decision.exposure_before_fen, decision.exposure_after_fen) == (0, 5_000_000)
    assert POLICY.sha256 == decision.policy.sha256
    assert decision_id(TOKEN, "app-00000001") == decision.decision_id


def test_more_than_the_offer_is_a_counter_offer() -> None:
    """Less than asked is approved, with the bound that made it less as the reason."""
    decision = _decide(FakeViews(entry(limit_fen=3_000_000), SAFE))
    assert (decision.outcome, decision.counter_offer) == (Outcome.APPROVE, True)
    assert decision.approved_amount_fen == 3_000_000
    assert _codes(decision) == ["W_OFFER_LIMIT"]


def test_a_knock_out_refers_whatever_the_score() -> None:
    """An account past due goes to a person, may not be overridden and is never scored."""
    decision = _decide(FakeViews(entry(), bureau(accounts_past_due=1)))
    assert (decision.outcome, decision.approved_amount_fen) == (Outcome.REFER, 0)
    assert _codes(decision) == ["B_PAST_DUE_NOW"]
    assert decision.referral is not None
    assert not decision.referral.overridable
    assert decision.score_points is None


def test_a_low_score_refers_with_the_models_reasons() -> None:
    """Below the cut-off the reasons are the families that weigh most, at most four of them."""
    decision = _decide(FakeViews(entry(), bureau(inquiries_12m=8, utilisation_pct=98.0)))
    assert Outcome.REFER is decision.outcome
    codes = _codes(decision)
    assert codes[0] == "M_INQUIRIES"
    assert all(code.startswith("M_") for code in codes)
    assert 1 <= len(codes) <= 4
    assert list(range(1, len(codes) + 1)) == [reason.rank for reason in decision.reasons]


@pytest.mark.parametrize(
    ("views", "changes", "code"),
    [
        (VIEWS, {"declared": {"annual_income_fen": "absent"}}, "C_DATA_INCOMPLETE"),
        (FakeViews(SAFE), {}, "W_NOT_LISTED"),
        (FakeViews(entry()), {}, "B_MISSING"),
        (FakeViews(entry(), SAFE, fresh_at_ms=0), {}, "T_STORE_STALE"),
        (
            FakeViews(entry(), bureau(inquiries_12m="absent")),
            {}, "C_DATA_INCOMPLETE",
        ),
        (FakeViews(entry(conclusion="suspended"), SAFE), {}, "W_OFFER_SUSPENDED"),
        (VIEWS, {"currency": "USD"}, "R_CURRENCY"),
        (VIEWS, {"authorization": {"automated_decision": False}}, "C_CONSENT_MISSING"),
        (VIEWS, {"decide_by": "2026-11-24T08:00:59.999Z"}, "T_LATE"),
    ],
)  # fmt: skip
def test_what_cannot_be_decided_is_referred(
    views: Views, changes: dict[str, Any], code: str
) -> None:
    """Whatever is missing, stale or not allowed goes to a person under its own reason."""
    decision = _decide(views, **changes)
    assert (decision.outcome, decision.approved_amount_fen) == (Outcome.REFER, 0)
    assert [code] == _codes(decision)


def test_a_stale_store_is_named_at_its_exact_age() -> None:
    """The oldest allowed store still decides; one millisecond more refers."""
    oldest_ms = NOW_MS - POLICY.store_age_max_ms
    assert Outcome.APPROVE is _decide(FakeViews(entry(), SAFE, fresh_at_ms=oldest_ms)).outcome
    stale = _decide(FakeViews(entry(), SAFE, fresh_at_ms=oldest_ms - 1))
    assert _codes(stale) == ["T_STORE_STALE"]


def test_the_same_application_again_is_counted_and_not_answered() -> None:
    """Within a batch and across batches one decision is made, and repeats are counted."""
    ledgers = [Ledger()]
    first = _run(record(), record(offset=1), record(offset=2), ledgers=ledgers)
    again = _run(record(offset=3), ledgers=ledgers)
    assert (len(first.decisions), first.duplicates) == (1, 2)
    assert (again.decisions, again.outputs, again.duplicates) == ([], [], 1)


@pytest.mark.parametrize("apart", [False, True])
def test_an_id_with_other_content_is_a_conflict(apart: bool) -> None:
    """The first content keeps its decision; the other is dead-lettered, in any batch."""
    ledgers = [Ledger()]
    one, other = record(), record(offset=1, requested_amount_fen=4_000_000)
    parts = [[one], [other]] if apart else [[one, other]]
    batches = [_run(*part, ledgers=ledgers) for part in parts]
    assert sum(len(batch.decisions) for batch in batches) == 1
    assert [e.reason for _, e in batches[-1].buried] == ["conflict"]
    letter = next(each for each in batches[-1].outputs if each.topic == DEAD_LETTERS)
    assert other.value is not None
    said = dict(letter.headers)
    assert hashlib.sha256(other.value).hexdigest().encode() == said["x-sha256"]
    assert said["x-error-field"] == b"application_id"


@given(
    amounts=st.lists(st.integers(100_000, 20_000_000), min_size=2, max_size=8),
    cuts=st.sets(st.integers(1, 7)),
    limit_fen=st.integers(1_000_000, 40_000_000),
)
@settings(max_examples=60, deadline=None)
def test_one_person_is_never_promised_more_than_the_offer_or_the_cap(
    amounts: list[int], cuts: set[int], limit_fen: int
) -> None:
    """However many applications, in one batch or several, the sum stays within both bounds."""
    records = [
        record(offset=at, application_id=f"app-{at:08d}", requested_amount_fen=amount, **GOOD)
        for at, amount in enumerate(amounts)
    ]
    views, ledgers = FakeViews(entry(limit_fen=limit_fen), SAFE), [Ledger()]
    edges = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    decisions: list[Decision] = []
    for start, end in pairwise(edges):
        decisions += _run(*records[start:end], views=views, ledgers=ledgers).decisions
    promised = sum(decision.approved_amount_fen for decision in decisions)
    cap_fen = POLICY.segments[decisions[0].segment].exposure_cap_fen
    assert promised <= min(limit_fen, cap_fen)
    assert promised == ledgers[0].exposure_fen(TOKEN) == decisions[-1].exposure_after_fen
    for before, after in pairwise(decisions):
        assert before.exposure_after_fen == after.exposure_before_fen


def test_the_second_application_of_a_batch_gets_what_the_first_left() -> None:
    """Two of 50,000 yuan on an offer of 80,000: the second gets 30,000, a third nothing."""
    ids = (f"app-{number:08d}" for number in range(3))
    records = [record(offset=at, application_id=each, **GOOD) for at, each in enumerate(ids)]
    decisions = _run(*records).decisions
    assert [each.approved_amount_fen for each in decisions] == [5_000_000, 3_000_000, 0]
    assert ["E_EXPOSURE"] == _codes(decisions[1]) == _codes(decisions[2])


class _Failing:
    """A scorer that refuses every batch in which one of `bad_terms` is asked for."""

    def __init__(self, bad_terms: set[float] | None) -> None:
        self._bad_terms = bad_terms
        self._real = MODELS["consumer"]

    @property
    def manifest(self) -> Manifest:
        return self._real.manifest

    @property
    def manifest_sha256(self) -> str:
        return self._real.manifest_sha256

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        column = self.manifest.feature_names.index("term_months")
        if self._bad_terms is None or self._bad_terms & set(rows[:, column].tolist()):
            raise ModelError("the model failed", fix="none")
        return self._real.score(rows)


def test_a_model_that_fails_refers_and_never_approves() -> None:
    """Without a score there is no approval: the case waits for a person as such."""
    pipeline = Pipeline({**MODELS, "consumer": _Failing(None)}, POLICY)
    (decision,) = _run(record(**GOOD), pipeline=pipeline).decisions
    assert (decision.outcome, decision.approved_amount_fen) == (Outcome.REFER, 0)
    assert _codes(decision) == ["T_MODEL_FAILED"]
    assert (decision.score_points, decision.pd, decision.model) == (None, None, None)


def test_a_row_the_model_refuses_does_not_spoil_its_batch() -> None:
    """Only the refused row is referred; its neighbours keep the score they have alone."""
    pipeline = Pipeline({**MODELS, "consumer": _Failing({13.0})}, POLICY)
    people = [token(number) for number in range(1, 4)]
    views = FakeViews(
        *(entry(applicant_token=person) for person in people),
        *(bureau(applicant_token=person, utilisation_pct=10.0) for person in people),
    )
    records = [
        record(offset=at, application_id=f"app-{at:08d}", applicant_token=person, term_months=term,
               **GOOD)
        for at, (person, term) in enumerate(zip(people, (36, 13, 24), strict=True))
    ]  # fmt: skip
    mixed = _run(*records, views=views, pipeline=pipeline).decisions
    alone = [_run(each, views=views).decisions[0] for each in records]
    assert [alone[0], alone[2]] == [mixed[0], mixed[2]]
    assert _codes(mixed[1]) == ["T_MODEL_FAILED"]


def audits_of(batch: Batch) -> list[Audit]:
    """The audit records of decisions; those of dead letters are another kind."""
    return [
        decode_audit(each.value or b"")
        for each in batch.outputs
        if each.topic == AUDIT and dict(each.headers)["ce_type"] == AUDITED.encode()
    ]


def _mixed() -> list[Record]:
    """Good, repeated, conflicting, unlisted and bad records over three partitions."""
    records = [
        record(offset=0, **GOOD),
        record(offset=1, **GOOD),
        record(offset=2, **GOOD, term_months=12),
        record(offset=3, application_id="app-00000002", requested_amount_fen=4_000_000, **GOOD),
        record(partition=1, applicant_token=token(5), application_id="app-00000003"),
        record(partition=2, segment="farmer", product_code="farmer_loan"),
    ]
    return [*records, *(bad.record._replace(partition=2) for bad in BAD[::10])]


def test_every_record_is_accounted_for() -> None:
    """Received is decided plus dead-lettered plus repeated; each has its audit record."""
    records = _mixed()
    batch = _run(*records)
    topics = Counter(output.topic for output in batch.outputs)
    decided, buried = len(batch.decisions), len(batch.buried)
    assert len(records) == batch.received == decided + buried + batch.duplicates
    assert {DECISIONS: decided, AUDIT: decided + buried, DEAD_LETTERS: buried} == topics
    assert batch.decisions == [
        decode_decision(each.value) for each in batch.outputs if each.topic == DECISIONS
    ]


def test_outputs_keep_partition_and_key() -> None:
    """Decision, audit and dead letter go where the application came from, under its key."""
    records = _mixed()
    home = [at_home(each, PARTITIONS) for each in records]
    came = {(each.partition, dead_letter_key(each.key)) for each in home}
    batch = _run(*records)
    assert {(each.partition, each.key) for each in batch.outputs} <= came
    for output in batch.outputs:
        if output.topic == DECISIONS:
            decision = decode_decision(output.value)
            assert decision.applicant_token.encode() == output.key
            assert decision.decision_id.encode() == dict(output.headers)["ce_id"]


def test_the_same_input_gives_the_same_bytes() -> None:
    """Two runs over fresh ledgers agree in every byte of every output."""
    assert _run(*_mixed()).outputs == _run(*_mixed()).outputs


def test_a_score_can_be_computed_again_from_its_audit_record() -> None:
    """The features kept give the same log-odds, to the last bit, and the same points."""
    batch = _run(*_mixed())
    audits = audits_of(batch)
    scored = [audit for audit in audits if audit.log_odds is not None]
    assert scored
    for audit in scored:
        assert audit.decision.model is not None
        scorer = MODELS[audit.decision.model.model_id]
        names = scorer.manifest.feature_names
        assert names == tuple(audit.features)
        row = np.array([list(audit.features.values())], dtype=np.float32)
        (log_odds,) = log_odds_of_bad(scorer.score(row)).tolist()
        assert log_odds.hex() == float(audit.log_odds or 0).hex()
        assert to_points(log_odds, scorer.manifest.scaling) == audit.decision.score_points


def test_an_audit_record_says_where_its_application_came_from() -> None:
    """Partition, offset, store age and what was joined are all in the record."""
    views = FakeViews(entry(), SAFE, fresh_at_ms=NOW_MS - 61_500)
    batch = _run(record(offset=77), views=views)
    (audit,) = audits_of(batch)
    came = (audit.source_partition, audit.source_offset, audit.standing.store_age_ms)
    assert came == (partition_of(TOKEN.encode(), PARTITIONS), 77, 61_500)
    assert (entry(), SAFE) == (audit.whitelist_entry, audit.bureau)


def test_a_clock_ahead_of_the_engine_is_tolerated_to_the_bound() -> None:
    """Submitted five minutes ahead is decided; a millisecond more is a dead letter."""
    edge, past = "2026-11-24T08:06:00Z", "2026-11-24T08:06:00.001Z"
    assert len(_run(record(submitted_at=edge)).decisions) == 1
    assert [e.reason for _, e in _run(record(submitted_at=past)).buried] == ["invalid"]


def test_a_tombstone_is_a_dead_letter_of_no_bytes() -> None:
    """A null value is buried as empty and stops nothing."""
    output, audited = _run(raw(None)).outputs
    assert (audited.topic, audited.key) == (AUDIT, TOKEN.encode())
    assert (DEAD_LETTERS, b"", TOKEN.encode()) == (output.topic, output.value, output.key)


def test_a_draft_that_is_dropped_promises_nothing() -> None:
    """After an aborted transaction the same batch gives the same answer again."""
    ledger = Ledger()
    records = [record(**GOOD)]
    first = PIPELINE.run(records, {0: Draft(ledger)}, under(VIEWS))
    second = PIPELINE.run(records, {0: Draft(ledger)}, under(VIEWS))
    assert first.outputs == second.outputs
    assert (len(ledger), ledger.exposure_fen(TOKEN)) == (0, 0)


def test_an_empty_batch_gives_nothing() -> None:
    """No records, no outputs, and every stage is still marked."""
    marks: list[str] = []
    batch = PIPELINE.run([], {}, under(VIEWS), marks.append)
    assert (batch.outputs, batch.received) == ([], 0)
    assert marks == ["decode", "admit", "enrich", "score", "decide", "encode"]


def test_an_offer_of_another_person_is_never_used() -> None:
    """A store that answered with somebody else's offer would refer, not approve."""

    class Confused(FakeViews):
        def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
            return entry(applicant_token=token(9))

    assert Outcome.REFER is _decide(Confused(SAFE)).outcome
