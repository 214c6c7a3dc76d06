"""The path of an application, top to bottom: decode → admit → enrich → score → decide → encode.

A micro-batch at a time, bytes in and bytes out. Nothing here reads a clock, a
socket, a file or the environment: the time, the views, the models, the switches
and the ledger drafts are handed in, so the same input gives the same output for
ever. Records that lie on another partition than their key's go there first;
events reach the ledger before the applications, reviewers' answers after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Raw

from stream.batch import Batch, Row
from stream.codec.application_v1 import check_envelope, decode_batch, sha256_hex
from stream.codec.decision_v1 import encode_decision
from stream.codec.event_v1 import decode_event, decode_review
from stream.codec.seal import Sealer
from stream.compose import (
    Moment,
    compose_audit,
    compose_decision,
    compose_review_audit,
    compose_review_decision,
)
from stream.domain.control import Switches
from stream.domain.decision import RuleHit
from stream.domain.draft import Draft
from stream.domain.instant import to_ms
from stream.domain.reasons import ReasonCode
from stream.domain.review import ReferralOutcome
from stream.domain.topics import APPLICATIONS, EVENTS
from stream.encode import encode_batch, settle
from stream.errors import PoisonError
from stream.limits import CLOCK_SKEW_MS_MAX, DECIDE_WITHIN_MS, LEDGER_WINDOW_MS, PART_ROWS
from stream.lineup import Lineup, lineups_of
from stream.policy.model import Policy
from stream.policy.rules import BreakerWindow, Case, after_score, before_score, partition_shares
from stream.policy.second_stage import ReviewCase, second_stage
from stream.policy.verdict import refer
from stream.ports import Record, Scorer, Views
from stream.strays import forward_strays

NO_WINDOW = BreakerWindow(0, 0, 0, 0)
"""A reviewer's approval is no machine's: the breaker has no say in it."""


class Circumstances(NamedTuple):
    """What a batch is decided under: the time, the views, the switches, the partition count."""

    now_ms: int
    views: Views
    switches: Switches
    partitions: int


def _unmarked(_stage: str) -> None:
    """Nobody listens."""


class Decides(Protocol):
    """Whatever turns a batch of records into what leaves."""

    def run(
        self,
        records: Sequence[Record],
        drafts: Mapping[int, Draft],
        under: Circumstances,
        mark: Callable[[str], None],
    ) -> Batch:
        """Decide every record once; `mark` hears the end of each stage. Never raises on input."""
        ...


class Pipeline:
    """Decides batches with one policy and one set of models."""

    def __init__(
        self,
        scorers: Mapping[str, Scorer | Lineup],
        policy: Policy,
        sealer: Sealer | None = None,
    ) -> None:
        """Pair each segment of the policy with its model; KeyError names a missing model."""
        self._policy, self._sealer = policy, sealer
        by_model = lineups_of(scorers)
        self._lineups = {s: by_model[p.model] for s, p in policy.segments.items()}

    def run(
        self,
        records: Sequence[Record],
        drafts: Mapping[int, Draft],
        under: Circumstances,
        mark: Callable[[str], None] = _unmarked,
    ) -> Batch:
        """Decide every record once; `mark` hears the end of each stage. Never raises on input."""
        batch = Batch(records)
        here = forward_strays(records, under.partitions, batch)
        reviews = self._hear([r for r in here if r.topic != APPLICATIONS], drafts, batch)
        rows = self._decode([r for r in here if r.topic == APPLICATIONS], under.now_ms, batch)
        mark("decode")
        rows = self._admit(rows, drafts, under.now_ms, batch)
        mark("admit")
        for some in _in_parts(rows):
            self._enrich(some, drafts, under, batch)
            mark("enrich")
            self._score(some)
            mark("score")
            self._decide(some, drafts, under, batch)
            if rows:  # the last part's deciding ends with the answers
                mark("decide")
        self._answer(reviews, drafts, under, batch)
        mark("decide")
        encode_batch(batch, drafts, under.now_ms, self._sealer)
        mark("encode")
        return batch

    def _hear(
        self,
        records: list[Record],
        drafts: Mapping[int, Draft],
        batch: Batch,
    ) -> list[Record]:
        """Take events into the ledger; the records left are reviewers' answers."""
        reviews = []
        for record in records:
            if record.topic != EVENTS:
                reviews.append(record)
                continue
            try:
                drafts[record.partition].take(decode_event(record))
                batch.events += 1
            except PoisonError as error:
                batch.bury(record, error)
        return reviews

    def _decode(self, records: list[Record], now_ms: int, batch: Batch) -> list[Row]:
        """Bytes to applications; what never became one is a dead letter."""
        rows = []
        decoded = decode_batch([record.value or b"" for record in records])
        for record, found in zip(records, decoded, strict=True):
            try:
                if isinstance(found, PoisonError):
                    raise found
                app, canonical = found
                check_envelope(app, record.key, record.headers)
                # By both clocks: ours may have been set back.
                latest_ms = max(now_ms, record.timestamp_ms) + CLOCK_SKEW_MS_MAX
                if to_ms(app.submitted_at) > latest_ms:
                    raise PoisonError("invalid", "submitted_at", "in the future")
            except PoisonError as error:
                batch.bury(record, error)
            else:
                rows.append(Row(record, app, canonical))
        return rows

    def _admit(
        self, rows: list[Row], drafts: Mapping[int, Draft], now_ms: int, batch: Batch
    ) -> list[Row]:
        """Answer an id once: the same content again is counted, other content is a conflict."""
        admitted = []
        for row in rows:
            row.sha256 = sha256_hex(row.canonical)
            draft = drafts[row.record.partition]
            known = draft.content_of(row.app.application_id)
            if known == row.sha256:
                batch.duplicates += 1
            elif known is not None:
                detail = "known with other content; send changes under a new id"
                batch.bury(row.record, PoisonError("conflict", "application_id", detail))
            elif to_ms(row.app.submitted_at) < max(draft.horizon_ms, now_ms - LEDGER_WINDOW_MS):
                detail = "before the ledger's window; send it again as a new application"
                batch.bury(row.record, PoisonError("invalid", "submitted_at", detail))
            else:
                draft.reserve(row.app.application_id, row.sha256)
                admitted.append(row)
        return admitted

    def _enrich(
        self, rows: list[Row], drafts: Mapping[int, Draft], under: Circumstances, batch: Batch
    ) -> None:
        """Join offer, bureau view and what the ledger was told; settle what needs no score."""
        now_ms, views = under.now_ms, under.views
        store_age_ms = max(0, now_ms - views.fresh_at_ms)
        for row in rows:
            app, draft = row.app, drafts[row.record.partition]
            token, submitted_ms = app.applicant_token, to_ms(app.submitted_at)
            due_ms = to_ms(app.decide_by) if app.decide_by else submitted_ms + DECIDE_WITHIN_MS
            _note_age(batch, submitted_ms, due_ms - now_ms)
            model_id = self._policy.segments[app.segment].model
            row.arm = self._lineups[app.segment].decider(token).alias
            # By position: by name it costs twice as much.
            row.case = Case(
                app,
                views.whitelist(token),
                views.bureau(token),
                now_ms,
                submitted_ms,
                due_ms,
                store_age_ms,
                0,
                under.switches.stopped(app.segment, app.channel, model_id),
                draft.cancelled(token, app.application_id),
                draft.human_asked(token, app.application_id),
                draft.revoked_at_ms(token),
                under.switches.raised(app.segment),
            )
            row.verdict = before_score(row.case, self._policy, row.trail)
            if row.verdict is None:
                self._build_features(row, row.case)

    def _build_features(self, row: Row, case: Case) -> None:
        if case.entry is None:
            return
        seat = self._lineups[row.app.segment].decider(row.app.applicant_token)
        row.features, lacking = seat.features(case)
        if lacking is not None:
            row.trail.append(RuleHit("features", "refer", {"missing": lacking}))
            row.verdict = refer(self._policy, (ReasonCode.DATA_INCOMPLETE,))

    def _score(self, rows: list[Row]) -> None:
        """One model run per segment; a row the model cannot score stays without one."""
        for segment, lineup in self._lineups.items():
            waiting = [row for row in rows if row.verdict is None and row.app.segment is segment]
            if waiting:
                lineup.score(waiting)

    def _decide(
        self, rows: list[Row], drafts: Mapping[int, Draft], under: Circumstances, batch: Batch
    ) -> None:
        """Verdicts in the order of arrival, each seeing what the ones before it promised."""
        since_ms = under.now_ms - self._policy.breaker.window_ms
        shares = partition_shares(self._policy, under.switches, under.partitions)
        for row in rows:
            draft, app = drafts[row.record.partition], row.app
            if row.case is None:
                raise AssertionError("a row is enriched before it is decided")
            exposure_fen = draft.exposure_fen(app.applicant_token)
            case = row.case._replace(exposure_fen=exposure_fen) if exposure_fen else row.case
            approved = draft.approved_since(app.segment, since_ms)
            share = shares[app.segment]
            most = share.approvals_max, share.amount_max_fen
            window = BreakerWindow(*approved, *most, share.limited_by)
            if row.verdict is None:
                score = row.scored.score if row.scored else None
                row.verdict = after_score(case, score, self._policy, row.trail, window)
            decision = compose_decision(case, row.verdict, row.scored, self._policy, row.sha256)
            models = self._lineups[app.segment].in_force
            moment = Moment(row.record, window, under.switches.version, under.partitions, models)
            draft.take(decision)
            value = encode_decision(decision)
            parts = Raw(value), Raw(row.canonical)
            audit = compose_audit(*parts, case, row, moment)
            settle(batch, row.record, decision, audit, value)

    def _answer(
        self, records: list[Record], drafts: Mapping[int, Draft], under: Circumstances, batch: Batch
    ) -> None:
        """Settle referrals that a reviewer answered: one second-stage decision each."""
        for record in records:
            draft = drafts[record.partition]
            try:
                answer = decode_review(record, under.now_ms)
                if draft.review_of(answer.application_id) == answer.review_id:
                    batch.duplicates += 1
                    continue
                case = _review_case(answer, draft, under)
            except PoisonError as error:
                batch.bury(record, error)
                continue
            trail: list[RuleHit] = []
            verdict = second_stage(case, self._policy, trail)
            decision = compose_review_decision(case, verdict, self._policy)
            moment = Moment(record, NO_WINDOW, under.switches.version, under.partitions)
            draft.take(decision)
            audit = compose_review_audit(decision, case, trail, moment)
            settle(batch, record, decision, audit, encode_decision(decision))


def _review_case(answer: ReferralOutcome, draft: Draft, under: Circumstances) -> ReviewCase:
    """What the answer is checked against; PoisonError when there is no referral to answer."""
    referred = draft.referral(answer.application_id)
    if draft.review_of(answer.application_id) is not None:
        raise PoisonError("conflict", "review_id", "already answered by another review")
    if referred is None or (referred.decision_id, referred.applicant_token) != (
        answer.decision_id,
        answer.applicant_token,
    ):
        raise PoisonError("invalid", "decision_id", "no open referral in the ledger's window")
    return ReviewCase(
        answer=answer,
        referred=referred,
        entry=under.views.whitelist(answer.applicant_token),
        now_ms=under.now_ms,
        store_age_ms=max(0, under.now_ms - under.views.fresh_at_ms),
        exposure_fen=draft.exposure_fen(answer.applicant_token),
        cancelled=draft.cancelled(answer.applicant_token, answer.application_id),
        revoked_at_ms=draft.revoked_at_ms(answer.applicant_token),
    )


def _in_parts(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows in their order, a few at a time; `rows` lets go of what was handed out.

    At least once, so that every batch goes through every stage.
    """
    while True:
        some = rows[:PART_ROWS]
        del rows[:PART_ROWS]
        yield some
        if not rows:
            return


def _note_age(batch: Batch, submitted_ms: int, left_ms: int) -> None:
    if batch.oldest_submitted_ms is None or submitted_ms < batch.oldest_submitted_ms:
        batch.oldest_submitted_ms = submitted_ms
    if batch.least_left_ms is None or left_ms < batch.least_left_ms:
        batch.least_left_ms = left_ms
