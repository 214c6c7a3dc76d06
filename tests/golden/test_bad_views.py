"""The bad inputs of offers and reports: through the keeper and the store into the decision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import structlog
from builders import NOW_MS, FakeViews, bureau, entry
from corpus.bench import SAFE, answer
from corpus.catalogue import Case, Input, cases
from corpus.words import outcomes
from fake_consumer import FakeConsumer, Message
from policy_cases import SOUND, TOKEN, merged
from prometheus_client import CollectorRegistry

from stream.config import load_settings
from stream.domain.topics import BUREAU, WHITELIST
from stream.edge import keeper as module
from stream.edge.keeper import Keeper
from stream.edge.lmdb_store import StoreReader
from stream.obs.metrics import EngineMetrics

KEY = TOKEN.encode()
_REPORT = msgspec.json.encode(bureau(**SAFE))
_SOUND = {WHITELIST: SOUND["offer"], BUREAU: msgspec.json.decode(_REPORT)}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    made = FakeConsumer()
    monkeypatch.setattr(module, "consumer", lambda *_args, **_extra: made)
    monkeypatch.setattr(
        module, "time", SimpleNamespace(time=lambda: NOW_MS / 1000, monotonic=monotonic)
    )
    return made


@pytest.fixture
def keeper(fake: FakeConsumer, tmp_path: Path) -> Iterator[Keeper]:
    metrics = EngineMetrics(CollectorRegistry())
    made = Keeper(load_settings(state_dir=tmp_path), metrics, structlog.get_logger())
    yield made
    made._store.close()


def _value(topic: str, given: Any) -> bytes | None:
    """The value a table describes: literal, sound with changes, or sound spelt otherwise."""
    if given == "tombstone":
        return None
    if isinstance(given, str):
        return given.encode()
    if isinstance(given, list):
        old, new = (each.encode() for each in given)
        assert old in _REPORT
        return _REPORT.replace(old, new)
    return msgspec.json.encode(merged(_SOUND[topic], given))


def _put(fake: FakeConsumer, keeper: Keeper, topic: str, given: Sequence[Any]) -> None:
    fake.put(*(Message(topic, KEY, _value(topic, each)) for each in given))
    keeper.step()


@pytest.mark.parametrize(
    ("case", "each"),
    [
        pytest.param(case, each, id=f"{case}: {each.name}")
        for case in cases("keeper")
        for each in case.inputs
        if "report_nan" not in each.situation
    ],
)
def test_what_the_keeper_took_in_decides(
    fake: FakeConsumer, keeper: Keeper, case: Case, each: Input
) -> None:
    """An application after the records of a case becomes what the catalogue says."""
    _put(fake, keeper, WHITELIST, [{}, *each.situation.get("offers", ())])
    _put(fake, keeper, BUREAU, [{}, *each.situation.get("reports", ())])
    keeper._fresh_checked_at = 0.0
    keeper.step()
    with StoreReader.reading(keeper._store) as views:
        _put(fake, keeper, WHITELIST, each.situation.get("meanwhile", ()))
        assert [each.expect] == list(outcomes(answer(each.record, among=views)))


def test_a_value_that_is_no_number_never_scores() -> None:
    """NaN cannot come through the store; were it there, the model would refuse it."""
    (each,) = (
        each for case in cases("keeper") for each in case.inputs if "report_nan" in each.situation
    )
    report = msgspec.structs.replace(bureau(**SAFE), utilisation_pct=float("nan"))
    got = answer(each.record, among=FakeViews(entry(), report))
    assert [each.expect] == list(outcomes(got))
