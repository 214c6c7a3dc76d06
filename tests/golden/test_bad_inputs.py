"""The 98 bad inputs under `corpus/`: what each must become, through the code that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from builders import NOW_MS, FakeViews, bureau, entry, record
from corpus.bench import SAFE, Answer, answer, models
from corpus.catalogue import BAD, CANARY, Case, cases
from corpus.making import SOUND
from corpus.words import outcome_of, outcomes
from policy_cases import POLICY, POLICY_FILE, TOKEN, decide

from stream.codec.dead_letter_v1 import decode_dead_letter, open_dead_letter
from stream.codec.keys import partition_of
from stream.codec.seal import Sealer
from stream.domain.decision import Outcome
from stream.edge.onnx_scorer import OnnxScorer
from stream.errors import ConfigError
from stream.obs.metrics import DEAD_LETTER_REASONS
from stream.pipeline import Pipeline
from stream.policy.load import load_policy
from stream.ports import FloatMatrix, Record

SEALER = Sealer(bytes(range(32)))
LETTER_BYTES_MAX = 256 * 1024
SOUND_RECORD = record(**msgspec.json.decode(SOUND))


def of(through: str) -> pytest.MarkDecorator:
    """One test per case that goes this way."""
    return pytest.mark.parametrize("case", cases(through), ids=str)


def test_every_number_is_there_once() -> None:
    """1 to 98 in order, each with what it is, why, and at least one record."""
    assert list(range(1, 99)) == [case.number for case in cases()]
    for case in cases():
        assert case.title
        assert case.because
        assert case.inputs
        names = [each.name for each in case.inputs]
        assert len(names) == len(set(names)), f"{case}: {names}"


def test_the_sound_record_is_approved_in_full() -> None:
    """Whatever a case gets instead comes from what is bad about it."""
    _assert_became(answer(SOUND_RECORD), "decided as usual", "sound")


def _assert_became(got: Answer, expected: str, name: str) -> None:
    assert [expected] == list(outcomes(got)), name


def _views(situation: Mapping[str, Any]) -> FakeViews:
    """The offer and report a case describes, the sound ones where it says nothing."""
    offer, report = situation.get("offer", {}), situation.get("report", {})
    held = [entry(**offer)] if offer != "absent" else []
    views = [bureau(**{**SAFE, **report})] if report != "absent" else []
    return FakeViews(*held, *views)


@of("pipeline")
def test_a_bad_input_becomes_what_the_catalogue_says(case: Case) -> None:
    """Exactly one dead letter, one referral or the usual decision for each record."""
    for each in case.inputs:
        among = _views(each.situation)
        got = answer(each.record, among=among)
        if "first" in each.situation:
            got = answer(SOUND_RECORD, each.record, among=among)
            (first,) = got.decisions
            assert outcome_of(first) == "decided as usual", each.name
            got = got._replace(decisions=())
        _assert_became(got, each.expect, each.name)


@of("strays")
def test_a_record_on_another_partition_is_sent_on(case: Case) -> None:
    """Decided on its own partition only, wherever else it turns up."""
    home = partition_of(TOKEN.encode(), 6)
    for each in case.inputs:
        sound = SOUND_RECORD._replace(partition=home)
        astray = each.record._replace(partition=(home + 1) % 6)
        expected = ["decided as usual", each.expect]
        assert expected == list(outcomes(answer(sound, astray, partitions=6)))


@of("pipeline")
def test_a_dead_letter_gives_back_the_bytes_and_says_nothing_of_them(case: Case) -> None:
    """Sealed it gives them back, up to the bound; without a key it keeps none. None is told."""
    sealing = Pipeline(models(), POLICY, SEALER)
    for each in case.inputs:
        sealed, plain = (answer(each.record, by=by).letters for by in (sealing, None))
        assert [b""] * len(sealed) == [letter.value for letter in plain], each.name
        for letter in sealed:
            value = each.record.value or b""
            lies = Record(letter.topic, 0, 0, letter.key, letter.value, letter.headers, NOW_MS)
            original = open_dead_letter(decode_dead_letter(lies), {SEALER.key_id: SEALER})
            assert value[:LETTER_BYTES_MAX] == (original.value or b""), each.name
        for letter in (*sealed, *plain):
            assert letter.key in {each.record.key, None}, each.name
            assert CANARY.encode() != letter.key, each.name
            said = b"\n".join(value or b"" for _, value in letter.headers)  # type: ignore[misc]
            for piece in (CANARY, CANARY[:12], CANARY.rsplit(".", 1)[1], "jndi", "cmd|"):
                assert piece.encode() not in said, each.name
            assert not set(range(32)) - {10} & set(said), each.name


def test_bad_inputs_leave_the_good_one_of_their_batch_alone() -> None:
    """All of them and one good one in a batch: one decision, and the rest dead letters."""
    got = answer(*(bad.record for bad in BAD), SOUND_RECORD)
    assert len(BAD) == len(got.letters)
    assert [outcome_of(each) for each in got.decisions] == ["decided as usual"]


def test_every_reason_of_a_dead_letter_is_reached() -> None:
    """The closed list holds nothing that no bad input gives, but for the conflict of two."""
    assert set(DEAD_LETTER_REASONS) - {"conflict"} == {bad.reason for bad in BAD}


class _Odd(OnnxScorer):
    """The shipped consumer model, fed or answering as a case describes."""

    def __init__(self, situation: Mapping[str, Any]) -> None:
        real = models()["consumer"]
        assert isinstance(real, OnnxScorer)
        for name in ("_input", "_names", "_session", "_width", "manifest", "manifest_sha256"):
            setattr(self, name, getattr(real, name))
        self._situation = situation

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        rows = {
            "one column less": lambda: rows[:, :-1],
            "one column more": lambda: np.hstack([rows, rows[:, :1]]),
            "as float64": lambda: rows.astype(np.float64),
            "as int64": lambda: rows.astype(np.int64),
        }.get(self._situation.get("rows", ""), lambda: rows)()
        return super().score(rows)

    def _run(self, chunk: FloatMatrix) -> FloatMatrix:
        answers = super()._run(chunk)
        if "answers" in self._situation:
            answers[:] = float(self._situation["answers"])
        return answers


@of("model")
def test_an_odd_model_refers_and_never_approves(case: Case) -> None:
    """What the model cannot take, or says outside its bounds, is no score."""
    for each in case.inputs:
        scorer = _Odd(each.situation)
        if each.situation.get("rows") == "none":
            empty = np.empty((0, len(scorer.manifest.feature_names)), dtype=np.float32)
            assert (0, len(scorer.manifest.outputs)) == scorer.score(empty).shape
            assert each.expect == "nothing"
            continue
        by = Pipeline({**models(), "consumer": scorer}, POLICY)
        _assert_became(answer(each.record, by=by), each.expect, each.name)


@of("policy")
def test_a_score_at_the_edge_falls_on_the_fixed_side(case: Case) -> None:
    """The cut-off itself passes, one point less does not."""
    for each in case.inputs:
        verdict, _ = decide({"score": each.situation["score"]})
        approved = verdict.outcome is Outcome.APPROVE
        assert each.expect == ("decided as usual" if approved else f"refer {verdict.trigger}")


@of("start")
def test_a_policy_without_a_threshold_is_refused(
    case: Case, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The engine does not start, and the message names the part that is wrong."""
    text = POLICY_FILE.read_text(encoding="utf-8")
    for each in case.inputs:
        old, new = each.situation["policy"]
        assert old in text
        file = tmp_path_factory.mktemp("policy") / "policy.toml"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load_policy(file)
        assert each.expect.removeprefix("start refused ") in caught.value.message
