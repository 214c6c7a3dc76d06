"""What a replay of the audit topic found, counted and written to a page in `bench/results/`."""

from __future__ import annotations

import os
import platform
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from chaos.origin import between, commit_now, versions
from chaos.report import taken

from stream.audit.verdict import Verdict
from stream.codec.decision_v1 import AUDITED, decode_audit
from stream.demo.reconcile import Offsets, read
from stream.domain.decision import Audit
from stream.domain.lineup import Alias
from stream.domain.topics import AUDIT

DECISIONS, SCORED = "decisions", "scored"
CHALLENGER_SCORED, SHADOW_SCORED = "with a challenger's score", "with a shadow's score"
BY_CHALLENGER = "decided by the challenger"
IN_FORCE = "with champion, challenger and shadow in force"


class Found(NamedTuple):
    """What was sent, how long deciding took, what replay said, and what the topic holds."""

    sent: int
    seconds: float
    commands: list[str]
    told: dict[str, Any]
    counts: Counter[str]

    @property
    def identical(self) -> int:
        """Decisions that came out the same, bit for bit."""
        return int(self.told["verdicts"][Verdict.MATCH.value])

    @property
    def holds(self) -> bool:
        """Whether all that was sent was decided and replayed, every record the same."""
        whole = self.sent, self.sent, self.sent
        return (self.counts[DECISIONS], self.told["records"], self.identical) == whole

    def summary(self) -> dict[str, Any]:
        """The figures of the page."""
        return {
            "sent": self.sent,
            "decided_a_second": round(self.sent / self.seconds, 1),
            "replayed": self.told["records"],
            "identical": self.identical,
            "replay_seconds": self.told["seconds"],
            "replayed_a_second": self.told["records_per_second"],
            **dict(sorted(self.counts.items())),
        }


def tally(bootstrap: str, since: Offsets) -> Counter[str]:
    """Decisions on the audit topic since then, by whose scores they carry and by outcome."""
    counts: Counter[str] = Counter()
    for record in read(bootstrap, AUDIT, since):
        if dict(record.headers)["ce_type"] == AUDITED.encode():
            counts.update(_marks(decode_audit(record.value)))
    return counts


def _marks(audit: Audit) -> list[str]:
    decision, arm = audit.decision, audit.standing.arm
    said = {each.alias for each in audit.shadows if each.log_odds is not None}
    if audit.log_odds is not None:
        said.add(arm)
    stood = {each.alias for each in audit.standing.models}
    marks = {
        SCORED: audit.log_odds is not None,
        IN_FORCE: stood == {Alias.CHAMPION, Alias.CHALLENGER, Alias.SHADOW},
        CHALLENGER_SCORED: Alias.CHALLENGER in said,
        SHADOW_SCORED: Alias.SHADOW in said,
        BY_CHALLENGER: arm is Alias.CHALLENGER and audit.log_odds is not None,
    }
    return [
        DECISIONS,
        f"outcome {decision.outcome.value}",
        *(m for m, is_so in marks.items() if is_so),
    ]


def page_of(found: Found, folder: Path, workers: int, before: str) -> Path:
    """Write the page under a name that no other file of the day has."""
    path = taken(folder / f"{datetime.now(UTC):%Y-%m-%d}-replay-topic")
    path.write_text("\n".join(_lines(found, workers, before)) + "\n", encoding="utf-8")
    return path


def _lines(found: Found, workers: int, before: str) -> list[str]:
    told, counts = found.told, found.counts
    rows = {
        "real applications sent": f"{found.sent:,}",
        "decisions on the topic": f"{counts[DECISIONS]:,}",
        "replayed": f"{told['records']:,}",
        "identical, bit for bit": f"{found.identical:,}",
        **{name: _share(counts[name], counts[DECISIONS]) for name in
           (IN_FORCE, SCORED, CHALLENGER_SCORED, SHADOW_SCORED, BY_CHALLENGER)},
        **{name: _share(count, counts[DECISIONS]) for name, count in sorted(counts.items())
           if name.startswith("outcome")},
        "deciding, seconds": f"{found.seconds:,.1f}",
        "decided a second": f"{found.sent / found.seconds:,.0f}",
        "replaying, seconds": f"{told['seconds']:,.1f}",
        "replayed a second": f"{told['records_per_second']:,.0f}",
    }  # fmt: skip
    return [
        f"# {datetime.now(UTC):%Y-%m-%d}: the engine's own decisions, replayed from its topic",
        "",
        f'Command: `make replay COUNT={found.sent} ARGS="--workers {workers}"`',
        "",
        "| | |",
        "|---|---:|",
        *(f"| {name} | {value} |" for name, value in rows.items()),
        "",
        *(f"- **Not the same**: {each}." for each in told["shown"]),
        "- Data: `openintro.loans_full_schema`, 10,000 real consumer loans, round after round as "
        "other people with fresh instants; offers are made up by the demo's rule.",
        "- Engine: `tenminute engine` with its supervisor, keeper and "
        f"{workers} workers on an embedded Kafka; limits, challenger and shadow came into force "
        "by signed commands on `decision.control`.",
        "- Challenger and shadow are the champion's trees with the log-odds of everyone moved up "
        "and down by 0.2.",
        "- Replay: `tenminute replay --from --to` over `decision.audit`, starting included. Its "
        "verdict compares the whole record, the scores of those that did not decide too.",
        "- Deciding includes making and publishing offers, reports and applications, round by "
        "round.",
        f"- Commit {between(before, commit_now())}; {versions()}.",
        f"- Machine: {os.cpu_count()} cores, {platform.system()}; load average "
        f"{os.getloadavg()[0]:.1f} at the end.",
    ]


def _share(count: int, whole: int) -> str:
    return f"{count:,} ({100 * count / max(1, whole):.1f} %)"
