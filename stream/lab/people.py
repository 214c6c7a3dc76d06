"""Rows on which a model is watched for how it treats people: never an input, only a label.

None of the committed models' data records age or sex. The loans of consumers
carry a state, those of farmers and merchants too, in the table with dates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream.domain.application import Segment
from stream.lab.data import (
    NAICS,
    Loans,
    business_loans,
    consumer_loans,
    consumer_table,
    dated_table,
)
from stream.lab.fit import split_rows
from stream.lab.recipe import Recipe

Labels = npt.NDArray[np.str_]
ABSENT = ("age", "sex")
UNKNOWN = "not recorded"
HELD_OUT = "the held-out rows"
SAMPLE = (
    "the natural sample of sba_full.csv.gz, as only there a loan has a place; part of it is also "
    "among the training rows, so expected against observed may flatter"
)

# The four regions of the US Census Bureau.
_REGIONS = {
    "Northeast": "CT ME MA NH RI VT NJ NY PA",
    "Midwest": "IL IN MI OH WI IA KS MN MO NE ND SD",
    "South": "DE FL GA MD NC SC VA DC WV AL KY MS TN AR LA OK TX",
    "West": "AZ CO ID MT NV NM UT WY AK CA HI OR WA",
}
REGION_OF = {state: name for name, states in _REGIONS.items() for state in states.split()}
_PLACES = {1: "urban", 2: "rural"}


@dataclass(frozen=True, slots=True)
class People:
    """Loans with outcome, and for each attribute the group of every row."""

    loans: Loans
    groups: dict[str, Labels]
    source: str


def _regions(states: Iterable[str]) -> Labels:
    return np.array([REGION_OF.get(state, UNKNOWN) for state in states])


def _consumers(recipe: Recipe) -> People:
    table = consumer_table()
    _, held_out = split_rows(recipe, consumer_loans(table))
    table = table.iloc[held_out]
    return People(consumer_loans(table), {"region": _regions(table["addr_state"])}, HELD_OUT)


def _businesses(data: Path, segment: Segment) -> People:
    table = dated_table(data / "sba" / "sba_full.csv.gz", NAICS[segment])
    table = table[table["sample"].isin(["block", "both"])]
    places = np.array([_PLACES.get(code, UNKNOWN) for code in table["urban_rural"]])
    groups = {"region": _regions(table["state"]), "place": places}
    return People(business_loans(table), groups, SAMPLE)


def load_people(recipe: Recipe, data: Path) -> People:
    """The rows of a recipe's segment that say who is asking."""
    if recipe.segment is Segment.CONSUMER:
        return _consumers(recipe)
    return _businesses(data, recipe.segment)
