"""What a benchmark run leaves behind: the JSON beside the page, one entry for each recipe."""

from __future__ import annotations

from msgspec import Struct

from stream.lab.benchmark.figures import Difference, Figures
from stream.scoring.figures import Attribute

GOAL = 0.003
"""How much AUC the constraints may cost."""


class Split(Struct, frozen=True):
    """One way to hold rows out: the three models' figures on them, and what constraints cost."""

    kind: str
    text: str
    learned_rows: int
    rows: int
    bad_rate: float
    models: dict[str, Figures]
    cost: Difference
    """Family-constrained minus unconstrained."""
    over_scorecard: Difference
    """Family-constrained minus the WoE scorecard."""


class Price(Struct, frozen=True):
    """What one loosening of the constraints would add to the AUC (negative: would lose)."""

    what: str
    gain: float


class Mark(Struct, frozen=True):
    """A leak's mark on an input, and the recipe's answer to it."""

    mark: str
    column: str
    text: str
    answer: str | None


class Outside(Struct, frozen=True):
    """A barred column: what it would have been worth, and whether the hunt finds it unaided."""

    column: str
    known_at: str
    why: str
    auc_alone: float
    gain: float
    marks: list[str]


class Shown(Struct, frozen=True):
    """A published figure."""

    auc: float
    what: str
    source: str
    comparable: str


class Untuned(Struct, frozen=True):
    """The reference given with the data, and its recipe run again on the rows measured here."""

    reference_auc: float
    reference_ks: float | None
    what: str
    inputs_auc: float
    """On the inputs of this benchmark."""
    all_auc: float
    """On these and every column that is barred though known in time."""
    left_out: list[str]


class Loosened(Struct, frozen=True):
    """A shipped recipe with less of its constraints: its AUC less that of the recipe."""

    what: str
    gain: float


class Shipped(Struct, frozen=True):
    """A recipe as `tenminute train` runs it, beside unconstrained trees on the same rows."""

    model_id: str
    version: str
    rows: int
    bad_rate: float
    family: Figures
    free: Figures
    cost: Difference
    loosened: list[Loosened]


class Outcome(Struct, frozen=True):
    """Everything measured on one recipe."""

    name: str
    title: str
    file: str
    sha256: str
    rows: int
    bad_rate: float
    inputs: int
    columns: int
    families: dict[str, list[str]]
    """What each family says, and its inputs."""
    splits: list[Split]
    prices: list[Price]
    coarser: list[str]
    """Which of the prices are of other splits into families, on all rows."""
    protected_gain: float | None
    """What the unconstrained model would gain from the protected columns."""
    marks: list[Mark]
    outside: list[Outside]
    published: list[Shown]
    untuned: Untuned | None
    ages: Attribute | None
    """How age bands fare if the best three fifths by score are approved."""
    shapes: dict[str, str]
    trained: int
    """Boosted models trained for this entry, search included."""
    note: str
