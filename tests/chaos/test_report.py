"""The report: what fails a scenario, what fits the terminal, and what an interrupted run keeps."""

from __future__ import annotations

import subprocess
from pathlib import Path

from chaos.bars import BARS
from chaos.faults import Faults
from chaos.membership import expelled
from chaos.monitor import Monitor
from chaos.oracle import Verdict
from chaos.origin import between, commit_now
from chaos.replaying import Replay
from chaos.report import Page, row, table
from chaos.roles import java_hash
from chaos.scenarios import SCENARIOS
from chaos.stage import Result
from rich.console import Console


def result(name: str, replay: Replay, **faults: list[str]) -> Result:
    verdict = Verdict(applications=1_000_000, decisions=1_000_000)
    done = Faults(100, 100, **faults)  # type: ignore[arg-type]
    return Result(name, done, verdict, {"": [1.5, 119.9]}, replay, 1_234.5, 99.0, 4_321.0)


WHOLE = Replay(1_000_000, 1_000_000, ())


def test_a_run_whose_audit_replays_the_same_is_clean() -> None:
    """Nothing lost, all the same again, no bound broken: clean."""
    assert result("backlog", WHOLE).failures == []


def test_a_decision_that_replays_otherwise_fails_the_scenario() -> None:
    """One decision with other bytes, or one missing from the audit, is enough."""
    other = Replay(1_000_000, 999_999, ("decision.audit/0/1 replayed: different: pd",))
    assert result("backlog", other).failures == [
        "1 decisions replayed otherwise",
        "decision.audit/0/1 replayed: different: pd",
    ]
    assert not result("backlog", Replay(999_999, 999_999, ())).clean


def test_what_a_nemesis_found_fails_the_scenario() -> None:
    """A bound broken fails although the oracle is content; a note does not."""
    assert not result("backlog", WHOLE, failures=["not drained"]).clean
    assert result("backlog", WHOLE, notes=["disk full"]).clean


def test_the_closing_table_fits_eighty_columns() -> None:
    """The largest figures of every scenario, with nothing cut off."""
    console = Console(width=80, record=True, force_terminal=False)
    console.print(table([result(name, WHOLE) for name in SCENARIOS], {}))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for name in SCENARIOS:
        assert f"{name} " in text


def test_each_finished_row_is_on_the_page_at_once(tmp_path: Path) -> None:
    """What is broken off later keeps the rows before, and names what is missing."""
    page = Page(tmp_path, "make chaos", "full", ["storm", "backlog"])
    page.write([result("storm", WHOLE)], {})
    text = page.path.read_text()
    assert "| storm | 100 | 1,000,000 | 0 | 0 | 0 |" in text
    assert "Broken off before**: backlog" in text
    page.write([result("storm", WHOLE), result("backlog", WHOLE)], {})
    assert "Broken off" not in page.path.read_text()
    assert page.path != Page(tmp_path, "make chaos", "full", []).path


def test_two_runs_side_by_side_write_two_pages(tmp_path: Path) -> None:
    """A name is taken when the run starts, not with its first row."""
    pages = [Page(tmp_path, "make chaos", "full", ["storm"]) for _ in range(3)]
    assert len({page.path for page in pages}) == 3


def test_what_recovery_leaves_out_is_on_the_page(tmp_path: Path) -> None:
    """A partition with no decision after a fault has no time, and its row says so."""
    monitor = Monitor.__new__(Monitor)
    monitor.arrivals = {0: [1.0, 5.0], 1: [1.0], 2: []}
    left_out = result("storm", WHOLE)
    assert monitor.recoveries([2.0], left_out.faults) == [3.0]
    assert monitor.recoveries([0.5, 9.0], left_out.faults) == [0.5]
    page = Page(tmp_path, "make chaos", "full", ["storm"])
    page.write([left_out], {})
    assert "- storm: recovery leaves out 6 of 9 times" in page.path.read_text()


def test_a_recovery_overtaken_by_the_next_fault_is_not_timed() -> None:
    """It would measure the next fault; it is counted instead."""
    monitor = Monitor.__new__(Monitor)
    monitor.arrivals = {0: [4.0, 5.0]}
    faults = Faults(3)
    assert monitor.recoveries([1.0, 2.0, 3.5], faults) == [0.5]
    assert faults.overtaken == 2


def test_every_scenario_has_a_bar_or_says_that_none_was_set(tmp_path: Path) -> None:
    """The page holds measured against bar, and says met or missed."""
    assert SCENARIOS.keys() == BARS.keys()
    slow, fast = result("joins", WHOLE), result("kill100", WHOLE)
    fast.recoveries = {"": [1.5, 14.9]}
    page = Page(tmp_path, "make chaos", "full", [])
    page.write([slow, fast, result("zombies", WHOLE)], {})
    text = page.path.read_text()
    assert "| joins | 10 from the leave | 119.9 | **missed** by 1 of 2 | 0 |" in text
    assert "session time-out and 5 s | 14.9 | met by 2 of 2 | 0 |" in text
    assert "| zombies | none set | 119.9 | – | 0 |" in text


def test_a_row_says_of_which_commit_it_is(tmp_path: Path) -> None:
    """Checked out, changed since, changed while it ran, or no repository at all."""
    assert commit_now(tmp_path) == "unknown"

    def git(*words: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "one")
    clean = commit_now(tmp_path)
    (tmp_path / "file").write_text("new")
    assert commit_now(tmp_path) == f"{clean} dirty"
    assert between(clean, "other") == f"{clean} to other"
    one = result("joins", WHOLE)
    one.commit = "abc1234 dirty"
    assert list(row(one).values())[-2] == "abc1234 dirty"
    assert "Kafka " in list(row(one).values())[-1]


def test_a_worker_is_expelled_when_others_hold_all() -> None:
    """Gone by name, and nothing it held lies idle."""
    whole = {"engine-0": {0, 1, 2}, "engine-1": {3, 4, 5}}
    assert expelled(whole, ["engine-2"], 6)
    assert not expelled(whole, ["engine-1"], 6)
    assert not expelled({"engine-0": {0, 1, 2}, "engine-1": set()}, ["engine-2"], 6)


def test_a_name_is_placed_as_java_does() -> None:
    """`"hello".hashCode()` is 99162322; a negative one counts without its sign."""
    assert java_hash("hello") == 99162322
    assert java_hash("polygenelubricants") == 0
    assert java_hash("worker-1-0-0") >= 0
