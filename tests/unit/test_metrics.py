"""Every series exists from the start, no label can name a person, and a batch counts once."""

from __future__ import annotations

import re
from types import SimpleNamespace

import msgspec
import pytest
from builders import NOW_MS, FakeViews, bureau, entry, record, under
from corpus.catalogue import BAD
from policy_cases import POLICY, TOKEN
from prometheus_client import CollectorRegistry

from stream.batch import Batch
from stream.codec.keys import partition_of
from stream.config import Settings
from stream.domain.application import Channel, Segment
from stream.domain.decision import Outcome
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.reasons import ReasonCode
from stream.domain.topics import EVENTS, REVIEWS
from stream.edge.onnx_scorer import load_models
from stream.obs import observe
from stream.obs.control_metrics import CONTROL_RESULTS
from stream.obs.loop_metrics import READ_ERRORS, TRANSACTION_RESULTS
from stream.obs.metrics import (
    DEAD_LETTER_REASONS,
    STAGES,
    STORE_RESULTS,
    STORE_TOPICS,
    EngineMetrics,
)
from stream.obs.observe import count_batch
from stream.pipeline import Pipeline
from stream.ports import Record

CLOSED: dict[str, set[str]] = {
    "outcome": {each.value for each in Outcome},
    "channel": {"unknown", *(each.value for each in Channel)},
    "segment": {each.value for each in Segment},
    "stage": set(STAGES),
    "kind": set(READ_ERRORS),
    "topic": set(STORE_TOPICS),
    "result": {*STORE_RESULTS, *CONTROL_RESULTS, *TRANSACTION_RESULTS},
    "reason": {*DEAD_LETTER_REASONS, *(code.value for code in ReasonCode)},
}
"""Every label name there may be, with every value it may take; `le` is the histograms' own."""


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> EngineMetrics:
    return EngineMetrics(registry)


def _labels(registry: CollectorRegistry) -> set[tuple[str, str]]:
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    return {pair for sample in samples for pair in sample.labels.items() if pair[0] != "le"}


@pytest.mark.usefixtures("metrics")
def test_every_label_value_is_there_from_the_start(registry: CollectorRegistry) -> None:
    """A rate over a series that has not happened yet is 0, not missing."""
    assert {(name, value) for name, all_ in CLOSED.items() for value in all_} == _labels(registry)


@pytest.mark.usefixtures("metrics")
def test_every_pair_of_decision_labels_is_there(registry: CollectorRegistry) -> None:
    """Outcome, channel and segment exist in every combination, all at zero."""
    for outcome in Outcome:
        for channel in Channel:
            for segment in Segment:
                labels = {"outcome": outcome, "channel": channel, "segment": segment}
                assert registry.get_sample_value("tenminute_decisions_total", labels) == 0


@pytest.mark.usefixtures("metrics")
def test_names_carry_the_prefix_and_base_units(registry: CollectorRegistry) -> None:
    """One prefix; seconds, records or fen; a help text each."""
    for metric in registry.collect():
        assert re.fullmatch(r"tenminute_[a-z_]+", metric.name)
        assert not metric.name.endswith(("_ms", "_millis", "_yuan", "_percent"))
        assert metric.documentation


def _batch() -> Batch:
    """An approval, the same again, a late one without an offer, and three dead letters."""
    models = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
    good = {"declared": {"annual_income_fen": 20_000_000, "employment_years": 10}}
    late = {"application_id": "app-00000002", "submitted_at": "2026-11-24T07:00:00Z"}
    unreadable = next(bad.record for bad in BAD if bad.reason == "unreadable")
    other = record(term_months=12, **good)
    records = [record(**good), record(**good), record(**late), unreadable, unreadable, other]
    views = FakeViews(entry(), bureau(utilisation_pct=10.0))
    return Pipeline(models, POLICY).run(records, {0: Draft(Ledger())}, under(views))


def test_a_batch_is_counted_once(registry: CollectorRegistry, metrics: EngineMetrics) -> None:
    """Received, decided, buried and repeated add up, and nothing else has moved."""
    count_batch(metrics, _batch(), NOW_MS + 250)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tenminute_{name}", labels)

    of = {"channel": "mobile_bank", "segment": "consumer"}
    assert value("applications_received_total") == 6
    assert value("decisions_total", outcome="approve", **of) == 1
    assert value("decisions_total", outcome="refer", **of) == 1
    assert value("decision_reasons_total", reason="T_LATE") == 1
    assert value("dead_letters_total", reason="unreadable") == 2
    assert value("dead_letters_total", reason="conflict") == 1
    assert value("duplicates_total") == 1
    assert value("approved_fen_total", segment="consumer") == 5_000_000
    assert value("deadline_missed_total") == 1
    assert value("transactions_total", result="committed") == 1
    assert value("transactions_total", result="aborted") == 0
    assert value("batch_records_sum") == 6
    assert value("decision_latency_seconds_count", channel="mobile_bank") == 2
    assert value("decision_latency_seconds_sum", channel="mobile_bank") == 60.25 + 3660.25


def test_only_applications_are_received_and_late(
    registry: CollectorRegistry, metrics: EngineMetrics
) -> None:
    """An event, a stray and a reviewer's answer are counted as what they are, and no deadline."""
    home = partition_of(TOKEN.encode(), 2)
    models = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
    pipeline, ledger = Pipeline(models, POLICY), Ledger()
    views = FakeViews(entry(), bureau(utilisation_pct=10.0))

    def count(*records: Record) -> Batch:
        drafts = {number: Draft(ledger if number == home else Ledger()) for number in (0, 1)}
        batch = pipeline.run(records, drafts, under(views, partitions=2))
        drafts[home].apply(ledger)
        count_batch(metrics, batch, NOW_MS)
        return batch

    late = record(partition=home, decide_by="2026-11-24T08:00:30Z")
    (referral,) = count(late).decisions
    said = {"applicant_token": TOKEN, "application_id": referral.application_id}
    event = {"event_id": "event-01", "kind": "cancel", "occurred_at": "2026-11-24T08:00:30Z"}
    answer = {
        "review_id": "review-1", "decision_id": referral.decision_id, "reviewer_id": "reviewer",
        "answer": "decline", "approved_amount_fen": 0, "answered_at": "2026-11-24T08:00:40Z",
    }  # fmt: skip
    count(
        late._replace(topic=EVENTS, value=msgspec.json.encode(said | event)),
        late._replace(topic=REVIEWS, value=msgspec.json.encode(said | answer)),
        late._replace(partition=1 - home),
    )
    names = (
        "applications_received", "application_events", "deadline_missed", "batch_records_sum",
    )  # fmt: skip
    found = [
        registry.get_sample_value(f"tenminute_{n}{'' if 'sum' in n else '_total'}") for n in names
    ]
    assert found == [1, 1, 1, 4]
    channel = {"channel": "mobile_bank"}
    assert registry.get_sample_value("tenminute_strays_total", channel) == 1
    assert registry.get_sample_value("tenminute_decision_latency_seconds_count", channel) == 1
    of = {"outcome": "refer", "segment": "consumer", **channel}
    assert registry.get_sample_value("tenminute_decisions_total", of) == 2


def test_counting_adds_no_series(registry: CollectorRegistry, metrics: EngineMetrics) -> None:
    """After a batch the set of label values is still the closed one."""
    before = _labels(registry)
    count_batch(metrics, _batch(), NOW_MS)
    assert before == _labels(registry)


def test_a_commit_before_submission_counts_as_no_wait(
    registry: CollectorRegistry, metrics: EngineMetrics
) -> None:
    """A channel's clock running ahead never makes a negative latency."""
    count_batch(metrics, _batch(), 0)
    name = "tenminute_decision_latency_seconds_sum"
    assert registry.get_sample_value(name, {"channel": "mobile_bank"}) == 0


def test_waiting_for_a_batch_is_no_stage(
    registry: CollectorRegistry, metrics: EngineMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time up to `poll` is nobody's; what follows is its stage's."""
    reads = iter([0.0, 50.0, *(51.0 + stage for stage in range(len(STAGES)))])
    monkeypatch.setattr(observe, "time", SimpleNamespace(perf_counter=lambda: next(reads)))
    watch = observe.Stopwatch(metrics)
    watch.mark("poll")
    for stage in STAGES:
        watch.mark(stage)
    name = "tenminute_stage_seconds_total"
    seconds = [registry.get_sample_value(name, {"stage": stage}) for stage in STAGES]
    assert [1.0] * len(STAGES) == seconds
