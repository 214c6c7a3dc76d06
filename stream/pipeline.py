"""The path of an application, top to bottom: decode → admit → enrich → score → decide → encode.

A micro-batch at a time, bytes in and bytes out. Nothing here reads a clock, a
socket, a file or the environment: the time, the views, the models and the
ledger drafts are handed in, so the same input gives the same output for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from stream.codec.application_v1 import check_envelope, content_sha256, decode_application
from stream.codec.dead_letter_v1 import encode_dead_letter
from stream.codec.decision_v1 import encode_audit, encode_decision
from stream.compose import Scored, compose_audit, compose_decision
from stream.domain.application import Application
from stream.domain.control import Switches
from stream.domain.decision import Decision, RuleHit
from stream.domain.instant import to_ms
from stream.domain.ledger import Draft
from stream.domain.reasons import ReasonCode
from stream.domain.topics import APPLICATIONS, AUDIT, DEAD_LETTERS, DECISIONS
from stream.errors import ModelError, PoisonError
from stream.limits import CLOCK_SKEW_MS_MAX, DECIDE_WITHIN_MS
from stream.policy.model import Policy
from stream.policy.rules import (
    BreakerWindow,
    Case,
    Verdict,
    after_score,
    before_score,
    partition_shares,
)
from stream.policy.verdict import refer
from stream.ports import FloatMatrix, Output, Record, Scorer, Scorers, Views
from stream.scoring.features import build_row, missing_required
from stream.scoring.scorecard import log_odds_of_bad


class Row:
    """One application on its way through the batch."""

    __slots__ = ("app", "case", "features", "record", "scored", "sha256", "trail", "verdict")

    def __init__(self, record: Record, app: Application) -> None:
        self.record = record
        self.app = app
        self.sha256 = ""
        self.case: Case | None = None
        self.trail: list[RuleHit] = []
        self.features: list[float] = []
        self.scored: Scored | None = None
        self.verdict: Verdict | None = None


class Batch:
    """What a batch of records became."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.received = len(records)
        self.outputs: list[Output] = []
        self.decisions: list[Decision] = []
        self.dead_letters: list[str] = []
        self.duplicates = 0


class Pipeline:
    """Decides batches with one policy and one set of models."""

    def __init__(self, scorers: Scorers, policy: Policy) -> None:
        """Pair each segment of the policy with its model; KeyError names a missing model."""
        self._policy = policy
        self._shares = partition_shares(policy, Switches(), 1)
        self._scorers = {s: scorers[p.model] for s, p in policy.segments.items()}
        manifests = {s: scorer.manifest for s, scorer in self._scorers.items()}
        self._names = {s: manifest.feature_names for s, manifest in manifests.items()}
        self._required = {s: manifest.required for s, manifest in manifests.items()}

    def run(
        self,
        records: Sequence[Record],
        views: Views,
        drafts: Mapping[int, Draft],
        now_ms: int,
        mark: Callable[[str], None] = lambda _stage: None,
    ) -> Batch:
        """Take records to outputs; `mark` is called at the end of each stage with its name."""
        batch = Batch(records)
        rows = self._decode(records, now_ms, batch)
        mark("decode")
        rows = self._admit(rows, drafts, now_ms, batch)
        mark("admit")
        self._enrich(rows, views, now_ms)
        mark("enrich")
        self._score(rows)
        mark("score")
        self._decide(rows, drafts, now_ms, batch)
        mark("decide")
        _encode(rows, batch, max(0, now_ms - views.fresh_at_ms) // 1000)
        mark("encode")
        return batch

    def _decode(self, records: Sequence[Record], now_ms: int, batch: Batch) -> list[Row]:
        """Bytes to applications; what never became one is a dead letter."""
        rows = []
        for record in records:
            try:
                app = decode_application(record.value or b"")
                check_envelope(app, record.key, record.headers)
                if to_ms(app.submitted_at) > now_ms + CLOCK_SKEW_MS_MAX:
                    raise PoisonError("invalid", "submitted_at", "in the future")
            except PoisonError as error:
                _bury(record, error, now_ms, batch)
            else:
                rows.append(Row(record, app))
        return rows

    def _admit(
        self, rows: list[Row], drafts: Mapping[int, Draft], now_ms: int, batch: Batch
    ) -> list[Row]:
        """Answer an id once: the same content again is counted, other content is a conflict."""
        admitted = []
        for row in rows:
            row.sha256 = content_sha256(row.app)
            draft = drafts[row.record.partition]
            known = draft.content_of(row.app.application_id)
            if known is None:
                draft.reserve_id(row.app.application_id, row.sha256)
                admitted.append(row)
            elif known == row.sha256:
                batch.duplicates += 1
            else:
                detail = "known with other content; send changes under a new id"
                error = PoisonError("conflict", "application_id", detail)
                _bury(row.record, error, now_ms, batch)
        return admitted

    def _enrich(self, rows: list[Row], views: Views, now_ms: int) -> None:
        """Join offer and bureau view, and settle what needs no score."""
        store_age_ms = max(0, now_ms - views.fresh_at_ms)
        for row in rows:
            app = row.app
            submitted_ms = to_ms(app.submitted_at)
            due_ms = to_ms(app.decide_by) if app.decide_by else submitted_ms + DECIDE_WITHIN_MS
            entry, bureau = views.whitelist(app.applicant_token), views.bureau(app.applicant_token)
            row.case = Case(app, entry, bureau, now_ms, submitted_ms, due_ms, store_age_ms, 0)
            row.verdict = before_score(row.case, self._policy, row.trail)
            if row.verdict is None and entry is not None:
                row.features = build_row(self._names[app.segment], app, entry, bureau)
                lacking = missing_required(row.features, self._required[app.segment])
                if lacking is not None:
                    feature = self._names[app.segment][lacking]
                    row.trail.append(RuleHit("features", "refer", {"missing": feature}))
                    row.verdict = refer(self._policy, (ReasonCode.DATA_INCOMPLETE,))

    def _score(self, rows: list[Row]) -> None:
        """One model run per segment; a row the model cannot score stays without one."""
        for segment, scorer in self._scorers.items():
            waiting = [row for row in rows if row.verdict is None and row.app.segment is segment]
            if not waiting:
                continue
            matrix = np.array([row.features for row in waiting], dtype=np.float32)
            outputs, kept = _outputs(scorer, matrix)
            log_odds = log_odds_of_bad(outputs).tolist()
            for index, each, total in zip(kept, outputs.tolist(), log_odds, strict=True):
                waiting[index].scored = Scored.of(each, total, scorer.manifest)

    def _decide(
        self, rows: list[Row], drafts: Mapping[int, Draft], now_ms: int, batch: Batch
    ) -> None:
        """Verdicts in the order of arrival, each seeing what the ones before it promised."""
        since_ms = now_ms - self._policy.breaker.window_ms
        for row in rows:
            draft, case = drafts[row.record.partition], row.case
            if case is None:
                raise AssertionError("a row is enriched before it is decided")
            exposure_fen = draft.exposure_fen(row.app.applicant_token)
            if row.verdict is None:
                case = case._replace(exposure_fen=exposure_fen)
                score = row.scored.score if row.scored else None
                approved = draft.approved_since(row.app.segment, since_ms)
                window = BreakerWindow(*approved, *self._shares[row.app.segment])
                row.verdict = after_score(case, score, self._policy, row.trail, window)
            decision = compose_decision(
                case, row.verdict, row.scored, self._policy, row.sha256, exposure_fen
            )
            draft.add(decision)
            batch.decisions.append(decision)


def _encode(rows: list[Row], batch: Batch, store_age_seconds: int) -> None:
    """Decision and audit record, to the partition number the application came from."""
    for row, decision in zip(rows, batch.decisions, strict=True):
        record, case = row.record, row.case
        if case is None:
            raise AssertionError("a row is enriched before it is encoded")
        source = (record.partition, record.offset, store_age_seconds)
        audit = compose_audit(decision, case, row.trail, row.features, row.scored, source)
        for topic, (value, headers) in (
            (DECISIONS, encode_decision(decision)),
            (AUDIT, encode_audit(audit)),
        ):
            batch.outputs.append(Output(topic, record.partition, record.key, value, headers))


def _bury(record: Record, error: PoisonError, now_ms: int, batch: Batch) -> None:
    value, headers = encode_dead_letter(record, error, APPLICATIONS, now_ms)
    batch.outputs.append(Output(DEAD_LETTERS, record.partition, record.key, value, headers))
    batch.dead_letters.append(error.reason)


def _outputs(scorer: Scorer, matrix: FloatMatrix) -> tuple[FloatMatrix, list[int]]:
    """Model outputs and the rows they belong to; row by row when the batch is refused."""
    try:
        return scorer.score(matrix), list(range(len(matrix)))
    except ModelError:
        kept, found = [], [np.empty((0, len(scorer.manifest.outputs)), dtype=np.float32)]
        for index in range(len(matrix)):
            with suppress(ModelError):  # a row without a score is referred as such
                found.append(scorer.score(matrix[index : index + 1]))
                kept.append(index)
        return np.concatenate(found), kept
