"""What the pipeline asks of the world, declared by the one who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from stream.domain.bureau import BureauFeatures
from stream.domain.whitelist import WhitelistEntry
from stream.scoring.manifest import Manifest

FloatMatrix = npt.NDArray[np.float32]


class Record(NamedTuple):
    """One record of `loan.applications` as polled: bytes and where they came from."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, str | bytes | None]]
    timestamp_ms: int


class Views(Protocol):
    """One consistent reading of whitelist and bureau, opened and closed around a batch."""

    @property
    def fresh_at_ms(self) -> int:
        """When the store had last caught up with its topics, epoch milliseconds."""
        ...

    def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
        """The standing offer, or None when the person is not on the list."""
        ...

    def bureau(self, applicant_token: str) -> BureauFeatures | None:
        """The bureau view, or None when none has arrived."""
        ...


class Scorer(Protocol):
    """One segment model."""

    @property
    def manifest(self) -> Manifest:
        """The checked description of the model."""
        ...

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        """Per-family log-odds, shape (rows, outputs); ModelError on anything not finite."""
        ...


Scorers = Mapping[str, Scorer]
"""Scorers by model id."""
