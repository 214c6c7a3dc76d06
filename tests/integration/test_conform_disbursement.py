"""The disbursement kit on the real broker: our consumer passes, each wrong one fails its rule."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from stream.config import Settings
from stream.conform.disbursement import conform_disbursement, scenes_named
from stream.conform.stage import Plan
from stream.conform.verdict import Finding, exit_of
from stream.errors import Exit

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]
PAYER = ROOT / "tests" / "payer.py"
KIT = "import typer; from stream.disbursement.cli import disburse; typer.run(disburse)"


class Bench:
    """A consumer process behind a restart command, and topics of one test's own."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.name = uuid4().hex[:8]
        self.decisions, self.outcomes = f"cd-{self.name}", f"co-{self.name}"

    def command(self, *argv: str) -> str:
        """A shell line that kills the process if it runs and starts it."""
        pid, log = self.folder / "pid", self.folder / "log"
        start = f"env {self.environment()} {shlex.join([sys.executable, *argv])}"
        script = self.folder / "restart.sh"
        script.write_text(
            f"if [ -f {pid} ]; then kill -9 $(cat {pid}); fi\n"
            f"{start} >>{log} 2>&1 </dev/null &\necho $! >{pid}\n"
        )
        return f"sh {script}"

    def environment(self) -> str:
        kafka = '{"session.timeout.ms":"6000"}'  # the least a broker takes: kills are many
        return f"PYTHONPATH={ROOT} {shlex.quote(f'TENMINUTE_KAFKA={kafka}')}"

    def kit(self) -> str:
        """Our own consumer."""
        topics = ["--decisions-topic", self.decisions, "--outcomes-topic", self.outcomes]
        where = ["--state-dir", str(self.folder / "kit"), "--group", self.name, *topics]
        return self.command("-c", KIT, "--bootstrap", self.settings.bootstrap, *where)

    def payer(self, fault: str) -> str:
        """The small consumer with that fault."""
        file = str(self.folder / f"payer-{self.name}")
        where = [self.settings.bootstrap, self.decisions, self.outcomes, file]
        return self.command(str(PAYER), fault, *where)

    def conform(self, command: str, *scenes: str, timeout: float = 30.0) -> list[Finding]:
        plan = Plan(self.decisions, self.outcomes, timeout, 300, 1.0, 1.0, command)
        return conform_disbursement(
            self.settings, plan, scenes_named(scenes), lambda _: None, pytest.fail
        )


@pytest.fixture
def bench(settings: Settings, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(settings, tmp_path)
    yield bench
    pid = tmp_path / "pid"
    if pid.exists():
        with suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


def broken(findings: list[Finding]) -> dict[str, str]:
    return {each.rule: each.detail for each in findings if each.passed is False}


def test_our_own_consumer_keeps_every_rule(bench: Bench) -> None:
    """The kit passes the whole series, killed twice, and the time to pay is measured."""
    findings = bench.conform(bench.kit())
    assert broken(findings) == {}
    assert exit_of(findings) == Exit.OK
    assert len(findings) == 20
    latency = next(each for each in findings if each.rule == "latency")
    assert "p99" in latency.detail


@pytest.mark.parametrize(
    ("fault", "scenes", "rules"),
    [
        ("uncommitted", ["aborted", "open"], {"aborted", "open"}),
        ("twice", ["repeat"], {"repeat"}),
        ("second_loan", ["stages"], {"one loan"}),
        ("referrals", ["plain", "stages"], {"referral", "second stage"}),
        ("commits_first", ["restart"], {"kill while paying"}),
    ],
)
def test_a_wrong_consumer_fails_at_the_right_rule(
    bench: Bench, fault: str, scenes: list[str], rules: set[str]
) -> None:
    """Each fault breaks the rules it must and no other; the decisions are named."""
    findings = bench.conform(bench.payer(fault), *scenes, timeout=6.0)
    assert rules == set(broken(findings)), broken(findings)
    assert exit_of(findings) == Exit.FAILED
    assert all(each.ids for each in findings if each.passed is False)


def test_a_consumer_that_is_not_there_is_said_so(bench: Bench) -> None:
    """Nothing but the connection is judged when nothing is announced."""
    (finding,) = bench.conform("true", "plain", timeout=1.0)
    assert (finding.rule, finding.passed) == ("connected", False)
    assert "within 1 s" in finding.detail
