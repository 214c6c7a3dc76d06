"""The result page keeps what other runs found, and the closing table fits a narrow terminal."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from faults.__main__ import PARTS
from faults.flow import Tally
from faults.report import Result, closing, keep
from faults.scenes import Scene
from rich.console import Console


def result(fault: str, lost: int = 0, *, broken: bool = False) -> Result:
    """A row of 200 strikes over many applications."""
    counts = Tally(123_456, 123_456 - lost, lost, 0, 0, 0, 0)
    return Result(Scene(fault, 200, counts, [1.0, 12.5], {"recreate": 200}, 0, broken), [])


def test_a_row_replaces_its_namesake_and_leaves_the_rest_of_the_page(tmp_path: Path) -> None:
    """Rows of other runs and words written by hand stay, in their order."""
    page = tmp_path / "page.md"
    keep(page, result("F8 lost", lost=3))
    keep(page, result("F9 late"))
    page.write_text(page.read_text(encoding="utf-8") + "\nBy hand.\n", encoding="utf-8")
    keep(page, result("F8 lost"))
    lines = page.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| F")]
    expected = ["| F8 lost | 200 | 123456 | 0 |", "| F9 late | 200 | 123456 | 0 |"]
    assert expected == [row[:30] for row in rows]
    assert lines[-1] == "By hand."


def test_a_row_that_was_broken_off_says_so(tmp_path: Path) -> None:
    """What had been counted until Ctrl-C is not taken for the full number."""
    page = tmp_path / "page.md"
    keep(page, result("F8 lost", broken=True))
    assert "broken off |" in page.read_text(encoding="utf-8")


def test_the_closing_table_fits_eighty_columns_with_the_longest_names() -> None:
    """No line is wider, no figure is cut and no name loses its end."""
    screen = StringIO()
    table = closing([result(part.fault) for part in PARTS])
    Console(file=screen, width=80).print(table)
    lines = screen.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert sum(line.count("123456") for line in lines) == len(PARTS)
    assert "…" not in screen.getvalue()


def test_a_row_holds_only_when_it_is_exact_and_no_code_was_wrong() -> None:
    """A lost decision or another remedy than the table's fails the run."""
    assert result("F8").holds
    assert not result("F8", lost=1).holds
    assert not Result(result("F8").scene, ["END_TXN 47: none, not recreate"]).holds
