"""Nothing of a person is ever in a log line, a dead letter's headers or a metric."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from builders import NOW_MS, FakeViews, application_bytes, bureau, entry, raw, record, token, under
from corpus.catalogue import BAD, CANARY
from policy_cases import POLICY, TOKEN
from prometheus_client import CollectorRegistry, generate_latest

from stream.batch import Batch
from stream.codec.application_v1 import check_envelope, decode_application
from stream.config import Settings
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import WHITELIST
from stream.edge.keeper import Keeper
from stream.edge.onnx_scorer import load_models
from stream.errors import PoisonError
from stream.obs.logs import configure_logs
from stream.obs.metrics import EngineMetrics
from stream.obs.observe import count_batch
from stream.pipeline import Pipeline

Lines = Callable[[], list[dict[str, Any]]]
ID = "app.canary.chen.13800138000"
NAME = "canary_zhang_wei"
PRIVATE = (CANARY, CANARY[7:12], "110101199003074258", ID, "13800138000", NAME, TOKEN, token(77))
"""Ids, names and tokens that go in; in a value or key they may come out, elsewhere never."""


@pytest.fixture
def lines(capsysbinary: pytest.CaptureFixture[bytes]) -> Iterator[Lines]:
    """Everything logged so far, read back line by line."""
    structlog.reset_defaults()
    yield lambda: [json.loads(line) for line in capsysbinary.readouterr().err.splitlines()]
    structlog.reset_defaults()


def _batch() -> Batch:
    """Everything in the catalogue, and applications whose free fields carry the canaries."""
    models = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
    named = {"loan_purpose": NAME, "region_code": NAME, "application_id": ID}
    records = [
        record(**named),
        record(**{**named, "term_months": 12}),
        record(application_id=CANARY, applicant_token=token(77)),
        record(application_id="app-00000009", product_code=NAME),
        raw(application_bytes(currency=CANARY)),
        *(bad.record for bad in BAD),
    ]
    views = FakeViews(entry(), bureau())
    return Pipeline(models, POLICY).run(records, {0: Draft(Ledger())}, under(views))


def _assert_nothing_private(text: str) -> None:
    for private in PRIVATE:
        assert private not in text
        assert private.encode().hex() not in text


def test_headers_say_nothing_of_a_person() -> None:
    """Of all outputs, dead letters included, only value and key may name the applicant."""
    outputs = _batch().outputs
    assert len(outputs) > len(BAD)
    for output in outputs:
        for name, value in output.headers:
            _assert_nothing_private(f"{name}: {value.decode()}")


def test_metrics_say_nothing_of_a_person() -> None:
    """The page a scraper reads holds no id, no name and no token."""
    registry = CollectorRegistry()
    count_batch(EngineMetrics(registry), _batch(), NOW_MS)
    _assert_nothing_private(generate_latest(registry).decode())


def test_error_messages_say_nothing_of_a_person() -> None:
    """A PoisonError that ends up in a traceback shows field and shape, never the value."""
    for bad in BAD:
        try:
            check_envelope(
                decode_application(bad.record.value or b""), bad.record.key, bad.record.headers
            )
        except PoisonError as error:
            _assert_nothing_private(str(error) + repr(error.args) + repr(error.__cause__))
            hidden = error.__context__ is None or error.__suppress_context__
            assert hidden


def test_the_pipeline_logs_nothing(lines: Lines) -> None:
    """A batch of the worst there is leaves no line by itself; the engine counts it."""
    configure_logs("worker-0")
    _batch()
    assert lines() == []


def test_the_keeper_logs_where_and_never_whom(
    lines: Lines,
) -> None:
    """A malformed offer is logged by topic and offset; key and value stay out of the line."""
    keeper = Keeper.__new__(Keeper)
    keeper._log, keeper._next = configure_logs("keeper"), {}
    keeper._metrics = EngineMetrics(CollectorRegistry())
    for value in (CANARY.encode(), application_bytes(application_id=ID)):
        message: Any = SimpleNamespace(
            error=lambda: None, topic=lambda: WHITELIST, partition=lambda: 3, offset=lambda: 41,
            key=TOKEN.encode, value=lambda value=value: value,
        )  # fmt: skip
        keeper._take(message, [], {})
    logged = lines()
    assert [line["event"] for line in logged] == ["store_record_malformed"] * 2
    assert {(WHITELIST, 41, "keeper")} == {
        (line["topic"], line["offset"], line["process"]) for line in logged
    }
    _assert_nothing_private(json.dumps(logged))


def test_a_log_line_is_one_json_object_whatever_it_holds(
    lines: Lines,
) -> None:
    """Line breaks in a value cannot forge a second line, and odd objects do not stop the log."""
    log = configure_logs("worker-0")
    log.warning("odd", text="one\r\ntwo", thing=threading.Lock)
    log.debug("not shown")
    (line,) = lines()
    assert (
        line["event"], line["level"], line["process"], line["text"]
    ) == ("odd", "warning", "worker-0", "one\r\ntwo")  # fmt: skip
    assert line["at"].endswith("Z")
