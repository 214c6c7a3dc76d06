"""Champion, challenger and shadow: who decides for whom, and what the others leave behind."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from builders import FakeViews, bureau, entry, record, token, under
from control_cases import command
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import POLICY

import stream.policy
from stream.batch import Batch
from stream.codec.decision_v1 import decode_audit, encode_decision
from stream.config import Settings
from stream.domain.decision import Audit, ShadowScore
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.lineup import BUCKETS, Alias, ModelChange, bucket
from stream.domain.topics import AUDIT
from stream.edge.onnx_scorer import load_models
from stream.errors import ModelError
from stream.lineup import Lineup, Trial
from stream.pipeline import Pipeline
from stream.ports import FloatMatrix, Scorer
from stream.scoring.manifest import Manifest

MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
PEOPLE = [token(number) for number in range(1, 61)]
VIEWS = FakeViews(
    *(entry(applicant_token=person) for person in PEOPLE),
    *(bureau(applicant_token=person, utilisation_pct=10.0) for person in PEOPLE),
)


class Steady:
    """A version of the consumer model that says the same of everyone; None: it refuses all."""

    def __init__(self, version: str, log_odds: float | None, names: tuple[str, ...] = ()) -> None:
        given = MODELS["consumer"].manifest
        features = tuple(f for f in given.features if not names or f.name in names)
        self.manifest: Manifest = msgspec.structs.replace(given, version=version, features=features)
        self.manifest_sha256 = f"{version:0>64}"
        self._log_odds = log_odds
        self.widths: set[int] = set()

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        if self._log_odds is None:
            raise ModelError("the model failed", fix="none")
        self.widths.add(rows.shape[1])
        outputs = np.zeros((len(rows), len(self.manifest.outputs)), dtype=np.float32)
        outputs[:, -1] = self._log_odds
        return outputs


GOOD, ALSO_GOOD = Steady("1.0.0", -4.0), Steady("2.0.0", -3.5)


def decided(lineup: Scorer | Lineup) -> tuple[Batch, list[Audit]]:
    """One application of each person, decided by this line-up."""
    records = [
        record(offset=at, application_id=f"app-{at:08d}", applicant_token=person)
        for at, person in enumerate(PEOPLE)
    ]
    pipeline = Pipeline({**MODELS, "consumer": lineup}, POLICY)
    batch = pipeline.run(records, {0: Draft(Ledger())}, under(VIEWS))
    audited = (out.value or b"" for out in batch.outputs if out.topic == AUDIT)
    return batch, [decode_audit(value) for value in audited]


def test_an_applicants_bucket_never_changes() -> None:
    """The draw is fixed for ever, and another salt draws anew."""
    assert [bucket("s1", token(n)) for n in range(3)] == [9977, 7399, 2178]
    assert bucket("s2", token(0)) != bucket("s1", token(0))


def test_a_share_is_that_share() -> None:
    """Of 40,000 people each tenth of the buckets has its tenth, within five deviations."""
    found = Counter(bucket("salt", token(n)) * 10 // BUCKETS for n in range(40_000))
    assert sorted(found) == list(range(10))
    assert all(abs(count - 4_000) < 5 * (40_000 * 0.1 * 0.9) ** 0.5 for count in found.values())


@given(st.text(max_size=20), st.integers(1, 5_000), st.integers(1, 5_000))
def test_a_larger_share_keeps_whom_the_smaller_had(whom: str, one: int, other: int) -> None:
    """Raising a challenger's share moves people to it and none away from it."""
    small, large = sorted((one, other))
    has = [Lineup(GOOD, Trial(ALSO_GOOD, bps, "s")).decider(whom).alias for bps in (small, large)]
    assert has != [Alias.CHALLENGER, Alias.CHAMPION]


def test_each_arm_decides_its_own_and_is_compared_on_all() -> None:
    """Every scored case has the other model's score beside it; arm and line-up are on record."""
    lineup = Lineup(GOOD, Trial(ALSO_GOOD, 5_000, "s"), Steady("3.0.0", 9.0), told=True)
    _, audits = decided(lineup)
    arms = Counter(audit.standing.arm for audit in audits)
    assert arms[Alias.CHAMPION] > 15
    assert arms[Alias.CHALLENGER] > 15
    for audit in audits:
        used, arm = audit.decision.model, audit.standing.arm
        assert used is not None
        assert lineup.decider(audit.decision.applicant_token).alias is arm
        version, other = {"champion": ("1.0.0", "2.0.0"), "challenger": ("2.0.0", "1.0.0")}[arm]
        assert (used.version, used.arm) == (version, arm)
        assert {other, "3.0.0"} == {each.version for each in audit.shadows}
        assert all(each.score_points is not None for each in audit.shadows)
        assert [(m.alias, m.version, m.share_bps) for m in audit.standing.models] == [
            ("champion", "1.0.0", 0), ("challenger", "2.0.0", 5_000), ("shadow", "3.0.0", 0)
        ]  # fmt: skip


@pytest.mark.parametrize("shadow", [Steady("3.0.0", 9.0), Steady("3.0.0", None)])
def test_a_shadow_changes_no_decision(shadow: Steady) -> None:
    """Whether it would refer everyone or fails on everyone: not one byte of a decision differs."""
    alone, beside = decided(GOOD), decided(Lineup(GOOD, shadow=shadow))
    expected = [encode_decision(decision) for decision in alone[0].decisions]
    assert expected == [encode_decision(decision) for decision in beside[0].decisions]
    scores = {each.score_points is None for audit in beside[1] for each in audit.shadows}
    assert scores == {shadow.score.__self__._log_odds is None}  # type: ignore[attr-defined]


def test_a_shadow_may_ask_for_other_features() -> None:
    """Each model gets the row that its own manifest names."""
    names = ("requested_amount_fen", "term_months")
    shadow = Steady("3.0.0", -4.0, names)
    _, audits = decided(Lineup(GOOD, shadow=shadow))
    assert shadow.widths == {len(shadow.manifest.features)}
    assert len(audits[0].features) == len(GOOD.manifest.features)
    assert all(len(audit.shadows) == 1 for audit in audits)


def test_a_champion_alone_leaves_the_records_as_they_were() -> None:
    """Without a trial or shadow an audit record has no trace of them."""
    batch, _ = decided(GOOD)
    values = [out.value or b"" for out in batch.outputs if out.topic == AUDIT]
    assert not [value for value in values if b'"shadows"' in value or b'"arm"' in value]


def parts(hint: Any) -> set[Any]:
    """A type with all that it is made of."""
    inner = hint if isinstance(hint, list) else typing.get_args(hint)
    own = set() if isinstance(hint, list) else {hint}
    return own.union(*(parts(each) for each in inner))


def test_no_rule_takes_a_shadow_score() -> None:
    """No function of the policy has a parameter that a shadow's score would fit."""
    seen, wrong = 0, []
    for found in pkgutil.iter_modules(stream.policy.__path__, "stream.policy."):
        module = importlib.import_module(found.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            hints = {k: parts(v) for k, v in typing.get_type_hints(function).items()}
            seen += len(hints)
            fits = {ShadowScore, Any, object, msgspec.Struct}
            wrong += [
                f"{found.name}.{name}"
                for hint in hints.values()
                if hint & fits and not found.name.endswith((".cli", ".load", ".checks"))
            ]
    assert seen > 100
    assert wrong == []


REPLACED = {"replaces": "1.0.0", "replaces_sha256": "b" * 64}
CHAMPION = {"alias": "champion", "version": "1.1.0", "manifest_sha256": "a" * 64, **REPLACED}
SHADOW = {"alias": "shadow", "version": "1.1.0", "manifest_sha256": "a" * 64}
CHALLENGER = {**CHAMPION, "alias": "challenger", "share_bps": 500, "salt": "s"}


@pytest.mark.parametrize(
    "odd",
    [
        {"alias": "king"},
        {"alias": "champion"},
        {**CHAMPION, "manifest_sha256": None},
        {**CHAMPION, "version": "latest"},
        {**CHAMPION, "version": "1.1"},
        {**CHAMPION, "share_bps": 500, "salt": "s"},
        {**CHAMPION, "replaces": "1.2.0"},
        {**CHAMPION, "until": "tomorrow"},
        {**CHALLENGER, "share_bps": 5_001},
        {**CHALLENGER, "share_bps": 0},
        {**CHALLENGER, "salt": None},
        {**CHAMPION, "replaces": None, "replaces_sha256": None},
        {**CHAMPION, "replaces_sha256": None},
        {**CHAMPION, "replaces": "1.1.0"},
        {**CHALLENGER, "replaces": None, "replaces_sha256": None},
        {**CHALLENGER, "replaces": "1.2.0"},
        {**CHAMPION, "rollback": True},
        {**CHAMPION, "version": "01.1.0"},
        {**CHALLENGER, "rollback": True},
        {**SHADOW, "rollback": True},
        {**SHADOW, **REPLACED},
        {"alias": "challenger", "share_bps": 500, "salt": "s"},
        {"alias": "challenger", "rollback": True},
    ],
    ids=str,
)
def test_what_puts_no_model_in_its_place_is_refused(odd: dict[str, Any]) -> None:
    """A place, a version and what belongs to both, or no command at all."""
    with pytest.raises(msgspec.ValidationError):
        command(action="model", scope="model", model=odd)


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        (2, CHAMPION),
        (2, {**CHAMPION, "version": "1.0.0", "replaces": "1.1.0", "rollback": True}),
        (2, CHALLENGER),
        (2, {**CHALLENGER, "replaces": "1.2.0", "rollback": True}),
        (1, {"alias": "challenger"}),
        (1, SHADOW),
        (1, {"alias": "shadow"}),
    ],
)
def test_who_gets_to_decide_needs_two_signatures(expected: int, change: dict[str, Any]) -> None:
    """What lets a model decide takes two; what only looks, or takes it back, takes one."""
    given = command(action="model", scope="model", model=change)
    assert expected == given.signatures
    assert f"model/{change['alias']}/farmer" == given.key


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "model", "scope": "model"},
        {"action": "model", "scope": "segment", "model": CHAMPION},
        {"action": "stop", "scope": "model", "model": CHAMPION},
    ],
    ids=str,
)
def test_a_version_and_the_action_model_go_together(changes: dict[str, Any]) -> None:
    """No other command carries a version, and none on a model's places lacks one."""
    with pytest.raises(msgspec.ValidationError):
        command(**changes)


def test_a_change_is_as_typed() -> None:
    """The record a channel of commands carries is the one the engine reads."""
    raw = msgspec.json.encode(command(action="model", scope="model", model=CHALLENGER))
    assert msgspec.json.decode(raw, type=type(command())).model == msgspec.convert(
        CHALLENGER, ModelChange
    )
