"""What a benchmark recipe declares: rows, inputs with their reasons, what is barred, the splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stream.lab.known import Barred, KnownAt

if TYPE_CHECKING:
    from pandas import DataFrame

SEED = 20261125
FOLDS = 5
"""Every row is scored once, by a model that learned from the other four fifths."""
ROWS_FOLDED_MAX = 50_000
"""Of larger sets one fifth is held out, once: its intervals are narrow enough."""

Adapter = Callable[["DataFrame"], "DataFrame"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One candidate of the search: a LightGBM shape; the number of trees is found by stopping.

    `columns` and `rows` are the shares of both that each tree draws, by seed.
    """

    leaves: int
    min_leaf_rows: int
    l2: float
    columns: float = 1.0
    rows: float = 0.7
    learning_rate: float = 0.08


TREES_MAX = 600
PATIENCE = 30
SHAPES = (
    Shape(4, 40, 5.0, columns=0.5),
    Shape(6, 20, 5.0, rows=1.0),
    Shape(16, 60, 20.0, columns=0.3),
    Shape(28, 100, 20.0),
)
"""The whole search: four shapes, stopped early on inner rows, for both kinds of model."""

INNER_FOLDS = 3
ROWS_INNER_FOLDED_MAX = 10_000
"""Of more rows one inner fifth settles the search; of fewer it would be a draw of lots."""

ROWS_SEARCHED_MAX = 10_000
"""Of larger sets the shape found in the first fold serves for all."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input: direction +1 riskier with more, -1 safer, 0 free, and the reason of it.

    `of` are the columns of the file it is made from (its own name if empty);
    `levels` are the texts of a categorical input, each of which is one column of the model.
    """

    name: str
    family: str
    direction: int = 0
    why: str = ""
    of: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the file behind this input."""
        return self.of or (self.name,)


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Rows up to a date (exclusive) to learn from, rows from it on to measure."""

    column: str
    from_value: str | float
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """A figure somebody else printed, and what keeps it from being the same experiment."""

    auc: float
    what: str
    source: str
    comparable: str


@dataclass(frozen=True, slots=True)
class Reference:
    """AUC and KS of an untuned LightGBM (250 trees, 24 leaves) on the fifth that is not here."""

    auc: float
    ks: float | None = None
    what: str = ""
    """Where it is of other rows than these."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One data set, or one segment of it, and all that is decided before a model is trained."""

    name: str
    title: str
    file: str
    adapt: Adapter
    inputs: tuple[Input, ...]
    barred: tuple[Barred, ...]
    families: dict[str, str]
    """Reason family to what it would say to a person."""
    rows: Adapter | None = None
    """Keeps the rows of one segment or sample."""
    time: TimeSplit | None = None
    published: tuple[Published, ...] = ()
    reference: Reference | None = None
    age: str | None = None
    """The column that holds a person's age in years: never an input, watched by band."""
    accepted: str | None = None
    """Why an impact ratio by age below the line does not end the run."""
    coarser: dict[str, dict[str, str]] = field(default_factory=dict)
    """Other splits that were tried: what is said of each, and which family joins which."""
    answered: dict[str, str] = field(default_factory=dict)
    """`mark:column` of a leak's mark to the reason why the column stays."""
    note: str = ""

    @property
    def known_at(self) -> dict[str, KnownAt]:
        """Every declared column of the file, and when it is known."""
        known = {source: KnownAt.APPLICATION for each in self.inputs for source in each.sources}
        known |= {column: bar.known_at for bar in self.barred for column in bar.columns}
        return known
