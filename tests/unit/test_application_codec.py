"""Every bad application becomes the dead letter it should, and none stops the engine."""

from __future__ import annotations

import msgspec
import pytest
from builders import NOW_MS, FakeViews, application, application_bytes, record
from golden.bad_inputs import ACCEPTED, BAD, CANARY, Bad
from policy_cases import POLICY

from stream.codec.application_v1 import (
    content_sha256,
    decode_application,
    encode_application,
)
from stream.config import Settings
from stream.domain.ledger import Draft, Ledger
from stream.domain.topics import DEAD_LETTERS
from stream.edge.onnx_scorer import load_models
from stream.errors import PoisonError
from stream.obs.metrics import DEAD_LETTER_REASONS
from stream.pipeline import Batch, Pipeline
from stream.ports import Record

PIPELINE = Pipeline(load_models(Settings().models_dir, ("farmer", "merchant", "consumer")), POLICY)


def _run(*records: Record) -> Batch:
    return PIPELINE.run(records, FakeViews(), {0: Draft(Ledger())}, NOW_MS)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_application_becomes_its_dead_letter(bad: Bad) -> None:
    """One record in, one dead letter out with the expected reason and field, nothing decided."""
    batch = _run(bad.record)
    assert [bad.reason] == batch.dead_letters
    assert [output.topic for output in batch.outputs] == [DEAD_LETTERS]
    assert batch.decisions == []
    headers = dict(batch.outputs[0].headers)
    assert bad.reason == headers["x-error-reason"].decode()
    assert bad.field == headers["x-error-field"].decode()


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_dead_letter_keeps_the_bytes_and_says_nothing_of_them(bad: Bad) -> None:
    """The value is the original's, up to the bound; no header repeats a piece of it."""
    output = _run(bad.record).outputs[0]
    assert (bad.record.value or b"")[: 256 * 1024] == output.value
    assert bad.record.key == output.key
    said = b"\n".join(value for _, value in output.headers)
    for piece in (CANARY, CANARY[:20], CANARY.rsplit(".", 1)[1], "jndi", "cmd|"):
        assert piece.encode() not in said
    assert not set(range(32)) - {10} & set(said)


def test_the_catalogue_is_long_and_names_no_case_twice() -> None:
    """Each case is one of its own, and every closed reason but the conflict is reached."""
    assert len(BAD) == len({bad.name for bad in BAD})
    assert len(BAD) >= 100
    assert set(DEAD_LETTER_REASONS) - {"conflict"} == {bad.reason for bad in BAD}


def test_bad_applications_leave_the_good_ones_of_their_batch_alone() -> None:
    """A batch of every bad input and one good one gives one decision and the rest dead letters."""
    batch = _run(*(bad.record for bad in BAD), record())
    assert len(BAD) == len(batch.dead_letters)
    assert len(batch.decisions) == 1


@pytest.mark.parametrize("value", ACCEPTED.values(), ids=ACCEPTED)
def test_unusual_but_sound_is_accepted(value: bytes) -> None:
    """Unknown fields, odd spacing and the exact bounds are no reason to refuse."""
    assert decode_application(value).application_id == "app-00000001"


@pytest.mark.parametrize("end", range(len(application_bytes())))
def test_a_document_cut_anywhere_is_unreadable(end: int) -> None:
    """No prefix of a sound document passes for one."""
    with pytest.raises(PoisonError) as caught:
        decode_application(application_bytes()[:end])
    assert caught.value.reason == "unreadable"


def test_content_is_the_same_in_any_spelling() -> None:
    """Key order, spacing, escapes and unknown fields leave the content hash alone."""
    plain = content_sha256(decode_application(application_bytes()))
    document = application()
    turned = msgspec.json.encode(dict(reversed(document.items())))
    spaced = msgspec.json.format(turned, indent=3)
    for value in (turned, spaced, ACCEPTED["an escaped value"], ACCEPTED["unknown fields"]):
        assert plain == content_sha256(decode_application(value))


def test_other_content_has_another_hash() -> None:
    """A changed amount is another application."""
    one, other = application_bytes(), application_bytes(requested_amount_fen=5_000_001)
    assert content_sha256(decode_application(one)) != content_sha256(decode_application(other))


def test_an_application_survives_its_own_encoding() -> None:
    """Encoding and decoding give back the same record."""
    app = decode_application(application_bytes(decide_by="2026-11-24T08:09:00Z", synthetic=True))
    assert app == decode_application(encode_application(app))
