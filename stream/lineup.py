"""The models of one segment as a batch meets them, and the scoring of its rows by all of them.

Champion, challenger and shadow score the same rows in the same batch. Who decides
a row is its arm; what the others say of it becomes a `ShadowScore` in the same
audit record, so that no row is without its counterpart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from stream.batch import Row
from stream.compose import Scored
from stream.domain.decision import ModelInForce, ShadowScore
from stream.domain.lineup import Alias, bucket
from stream.errors import ModelError
from stream.policy.rules import Case
from stream.ports import FloatMatrix, Scorer
from stream.scoring.features import build_row, missing_required


class Seat(NamedTuple):
    """One model in its place, with what its manifest asks for."""

    alias: Alias
    scorer: Scorer
    names: tuple[str, ...]
    required: tuple[int, ...]

    @classmethod
    def of(cls, alias: Alias, scorer: Scorer) -> Seat:
        """The scorer in that place."""
        manifest = scorer.manifest
        return cls(alias, scorer, manifest.feature_names, manifest.required)

    def features(self, case: Case) -> tuple[list[float], str | None]:
        """The row this model asks for, and the name of a feature that it lacks and must not."""
        if case.entry is None:
            raise AssertionError("a case without an offer is never scored")
        row = build_row(self.names, case.app, case.entry, case.bureau)
        lacking = missing_required(row, self.required)
        return row, None if lacking is None else self.names[lacking]


class Trial(NamedTuple):
    """A challenger and whom it decides for."""

    scorer: Scorer
    share_bps: int
    salt: str


class Lineup:
    """Who scores a segment."""

    def __init__(
        self,
        champion: Scorer,
        trial: Trial | None = None,
        shadow: Scorer | None = None,
        *,
        told: bool = False,
    ) -> None:
        """`told` puts the line-up into every audit record."""
        self.champion = Seat.of(Alias.CHAMPION, champion)
        self._trial = trial
        self._challenger = Seat.of(Alias.CHALLENGER, trial.scorer) if trial else None
        others = [self._challenger, Seat.of(Alias.SHADOW, shadow) if shadow else None]
        self.seats = (self.champion, *(seat for seat in others if seat is not None))
        self.in_force = tuple(map(self._told, self.seats)) if told else ()

    def decider(self, applicant_token: str) -> Seat:
        """Whose score counts for this applicant: always the same while salt and share stand."""
        trial, challenger = self._trial, self._challenger
        if trial is None or challenger is None:
            return self.champion
        drawn = bucket(trial.salt, applicant_token) < trial.share_bps
        return challenger if drawn else self.champion

    def score(self, rows: Sequence[Row]) -> None:
        """Score rows that wait for it, by every seat: one model run each."""
        for seat in self.seats:
            self._run(seat, rows)

    def _run(self, seat: Seat, rows: Sequence[Row]) -> None:
        """One seat's scores, to decide by or to be kept beside."""
        asked, matrix = [], []
        for row in rows:
            if row.arm is seat.alias:
                asked.append(row)
                matrix.append(row.features)
            elif row.case is not None:
                features, lacking = seat.features(row.case)
                if lacking is None:
                    asked.append(row)
                    matrix.append(features)
                else:
                    row.watched.append(_watched(seat, None))
        if not asked:
            return
        scored = scores_of(seat, np.array(matrix, dtype=np.float32))
        for index, row in enumerate(asked):
            if row.arm is seat.alias:
                row.scored = scored.get(index)
            else:
                row.watched.append(_watched(seat, scored.get(index)))

    def _told(self, seat: Seat) -> ModelInForce:
        scorer, trial = seat.scorer, self._trial
        name, version, sha256 = seat.alias.value, scorer.manifest.version, scorer.manifest_sha256
        if seat is not self._challenger or trial is None:
            return ModelInForce(name, version, sha256)
        return ModelInForce(name, version, sha256, trial.share_bps, trial.salt)


def lineups_of(scorers: Mapping[str, Scorer | Lineup]) -> dict[str, Lineup]:
    """Line-ups by model id; a scorer alone is its model's champion."""
    return {
        name: each if isinstance(each, Lineup) else Lineup(each) for name, each in scorers.items()
    }


def scores_of(seat: Seat, matrix: FloatMatrix) -> dict[int, Scored]:
    """Scores by row; a row that the model refuses has none."""
    outputs, kept = _outputs(seat.scorer, matrix)
    scored = Scored.all_of(outputs, seat.scorer, seat.alias)
    return dict(zip(kept, scored, strict=True))


def _watched(seat: Seat, scored: Scored | None) -> ShadowScore:
    scorer = seat.scorer
    return ShadowScore(
        alias=seat.alias.value,
        version=scorer.manifest.version,
        sha256=scorer.manifest_sha256,
        score_points=scored.score.points if scored else None,
        pd=scored.score.pd if scored else None,
        log_odds=scored.log_odds if scored else None,
    )


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
