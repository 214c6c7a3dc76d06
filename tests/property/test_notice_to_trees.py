"""From the notice back to the trees, for real cases: sums to the last bit, reasons as promised."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from policy_cases import POLICY
from proofs.cases import MODELS, cases_of, decided

from stream.config import Settings
from stream.domain.application import Segment
from stream.domain.decision import Audit, Outcome
from stream.domain.reasons import REASONS, ReasonCode
from stream.edge.model_folder import open_model, trusted_keys
from stream.limits import REASON_LOG_ODDS_MIN, REASONS_MAX
from stream.scoring.manifest import BASE_OUTPUT
from stream.scoring.walk import walk

CASES, WALKED = 700, 25
NO_CAUSE = ("T_", "S_")
"""A time-out, a failed model and a stop explain that nobody decided yet, never a refusal."""


@pytest.fixture(scope="module", params=list(Segment))
def audits(request: pytest.FixtureRequest) -> list[Audit]:
    return decided(cases_of(request.param).cases[:CASES])


def test_the_families_of_a_decision_add_up_to_its_score(audits: list[Audit]) -> None:
    """Leaves to families, families and base to log-odds, exactly: approvals and referrals alike."""
    segment = audits[0].decision.segment
    settings, seen = Settings(), Counter[Outcome]()
    manifest = MODELS[segment.value].manifest
    folder = settings.models_dir / manifest.model_id / manifest.version
    model = open_model(folder, trusted_keys(settings))
    names = model.manifest.feature_names
    for audit in audits:
        if audit.log_odds is None or seen[audit.decision.outcome] == WALKED:
            continue
        seen[audit.decision.outcome] += 1
        sums: dict[str, float] = defaultdict(float)
        for leaf in walk(model.onnx, model.manifest, [audit.features[name] for name in names]):
            sums[leaf.family] += leaf.log_odds
        row = [[audit.features[name] for name in names]]
        (outputs,) = MODELS[segment.value].score(np.array(row, dtype=np.float32))
        base = float(outputs[model.manifest.outputs.index(BASE_OUTPUT)])
        said = {each.family: each.log_odds for each in audit.contributions}
        assert said == {family: sums[family] for family in said}
        assert audit.log_odds == sum(said.values()) + base
    assert seen == {Outcome.APPROVE: WALKED, Outcome.REFER: WALKED}


def test_reasons_are_of_the_closed_list_and_never_the_score_or_a_time_out(
    audits: list[Audit],
) -> None:
    """At most four, ranked from one, each once; a model's refusal names what weighs a point."""
    refused = 0
    for audit in audits:
        decision = audit.decision
        codes = [each.code for each in decision.reasons]
        assert len(set(codes)) == len(codes) <= REASONS_MAX == 4
        assert [*range(1, len(codes) + 1)] == [each.rank for each in decision.reasons]
        for each in decision.reasons:
            known = REASONS[ReasonCode(each.code)]
            assert (known.text_en, known.text_zh) == (each.text_en, each.text_zh)
            assert not each.code.startswith(NO_CAUSE)
        assert bool(codes) is (decision.outcome is Outcome.REFER or decision.counter_offer)
        below = decision.score_points is not None and (
            decision.score_points < POLICY.segments[decision.segment].cut_off_points
        )
        if below:
            refused += 1
            against = sorted(
                (-each.centred, each.family) for each in audit.contributions if each.centred > 0
            )
            named = [each for each in against if -each[0] >= REASON_LOG_ODDS_MIN] or against[:1]
            assert [family for _, family in named[:REASONS_MAX]] == codes
    assert refused > 20


def test_no_text_of_the_list_says_low_score() -> None:
    """No reason for a refusal or a smaller amount speaks of a score, points, or time run out."""
    for code, reason in REASONS.items():
        if code.value.startswith(NO_CAUSE):
            continue
        words = reason.text_en.lower().split()
        assert not {"score", "scores", "points", "timeout", "time-out"} & set(words), code
        assert not any(word in reason.text_zh for word in ("评分", "得分", "分数", "超时")), code
