"""When the columns of a data set are known, and why some are no input."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class KnownAt(StrEnum):
    """When a column's value is first known."""

    APPLICATION = "application"
    """When the application arrives, bureau report and standing offer included."""
    SCREENING = "screening"
    """In the course of another lender's own decision: its grade, price, checks."""
    AFTER = "after"
    """Only once the decision was made."""


@dataclass(frozen=True, slots=True)
class Barred:
    """Columns of the file that are no input, when they are known, and why they stay out."""

    columns: tuple[str, ...]
    why: str
    known_at: KnownAt = KnownAt.APPLICATION
    protected: bool = False
