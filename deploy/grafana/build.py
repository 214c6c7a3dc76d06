"""Write the engine's dashboard: `python deploy/grafana/build.py`; a test checks it is current."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

TARGET = Path(__file__).with_name("engine.json")
WIDTH, HEIGHT, COLUMNS = 8, 7, 3
SOURCE = {"type": "prometheus", "uid": "prometheus"}
RATE = "[$__rate_interval]"


class Panel(NamedTuple):
    """One panel: title, unit, and expressions with their legends."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    what: str = ""


def rate(metric: str, by: str = "") -> str:
    """Sum of a counter's rate, split by a label where one is given."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{RATE}))"


def quantile(q: float) -> str:
    """A quantile of the decision latency."""
    buckets = rate("tenminute_decision_latency_seconds_bucket", "le")
    return f"histogram_quantile({q}, {buckets})"


DECISIONS = "tenminute_decisions_total"
RECEIVED = "tenminute_applications_received_total"
BAD = "tenminute_watch_bad_ratio"
PANELS = (
    Panel("Applications", "reqps", ((rate(RECEIVED), "received"),)),
    Panel("Decisions by outcome", "reqps", ((rate(DECISIONS, "outcome"), "{{outcome}}"),)),
    Panel(
        "Approval rate by segment",
        "percentunit",
        (
            (
                f'sum by (segment) (rate({DECISIONS}{{outcome="approve"}}{RATE})) / '
                f"{rate(DECISIONS, 'segment')}",
                "{{segment}}",
            ),
        ),
    ),
    Panel(
        "Decision latency",
        "s",
        ((quantile(0.5), "p50"), (quantile(0.99), "p99")),
        what="submitted_at to commit",
    ),
    Panel("Decisions by channel", "reqps", ((rate(DECISIONS, "channel"), "{{channel}}"),)),
    Panel(
        "First reasons",
        "reqps",
        ((f"topk(8, {rate('tenminute_decision_reasons_total', 'reason')})", "{{reason}}"),),
    ),
    Panel(
        "Dead letters by reason",
        "reqps",
        ((rate("tenminute_dead_letters_total", "reason"), "{{reason}}"),),
    ),
    Panel("Duplicates", "reqps", ((rate("tenminute_duplicates_total"), "not decided again"),)),
    Panel(
        "Deadlines missed",
        "short",
        (("sum(increase(tenminute_deadline_missed_total[10m]))", "in 10 minutes"),),
    ),
    Panel(
        "Transactions by result",
        "ops",
        ((rate("tenminute_transactions_total", "result"), "{{result}}"),),
    ),
    Panel(
        "Records per transaction",
        "short",
        (
            (
                f"{rate('tenminute_batch_records_sum')} / {rate('tenminute_batch_records_count')}",
                "mean",
            ),
        ),
    ),
    Panel(
        "Time per application and stage",
        "s",
        (
            (
                f"{rate('tenminute_stage_seconds_total', 'stage')} "
                f"/ ignoring(stage) group_left {rate(RECEIVED)}",
                "{{stage}}",
            ),
        ),
    ),
    Panel(
        "Approved, yuan a minute",
        "short",
        (
            (
                f"sum by (segment) (rate(tenminute_approved_fen_total{RATE})) * 60 / 100",
                "{{segment}}",
            ),
        ),
    ),
    Panel(
        "Age of store and of worker progress",
        "s",
        (
            ("time() - max(tenminute_store_fresh_timestamp_seconds)", "store"),
            ("time() - min(tenminute_worker_progress_timestamp_seconds)", "slowest worker"),
        ),
    ),
    Panel(
        "Store updates",
        "ops",
        ((rate("tenminute_store_updates_total", "topic, result"), "{{topic}} {{result}}"),),
    ),
    Panel(
        "Partitions and ledger",
        "short",
        (
            ("sum(tenminute_partitions_assigned)", "partitions"),
            ("sum(tenminute_ledger_ids)", "ids in ledgers"),
        ),
        "stat",
    ),
    Panel(
        "Backlog and partitions held",
        "short",
        (
            ("sum(tenminute_backlog_records)", "records not yet read"),
            ("sum(tenminute_partitions_held)", "partitions held"),
        ),
        what="held: an output topic refuses their records; nothing is skipped",
    ),
    Panel(
        "Age and time left",
        "s",
        (
            ("max(tenminute_undecided_age_seconds)", "oldest in the newest batch"),
            ("min(tenminute_deadline_left_seconds)", "least time to a deadline"),
        ),
    ),
    Panel(
        "Strays by channel",
        "reqps",
        ((rate("tenminute_strays_total", "channel"), "{{channel}}"),),
        what="records on another partition than their key's, sent on",
    ),
    Panel(
        "Application events",
        "reqps",
        ((rate("tenminute_application_events_total"), "taken in"),),
    ),
    Panel(
        "Control records",
        "ops",
        (
            (rate("tenminute_control_records_total", "result"), "{{result}}"),
            (rate("tenminute_control_acks_failed_total"), "acknowledgements failed"),
        ),
    ),
    Panel(
        "Command to the last decision without it",
        "s",
        (
            (
                "histogram_quantile(0.5, sum by (le) "
                "(increase(tenminute_control_last_affected_seconds_bucket[1d])))",
                "median",
            ),
            (
                "histogram_quantile(0.99, sum by (le) "
                "(increase(tenminute_control_last_affected_seconds_bucket[1d])))",
                "99th percentile",
            ),
        ),
        what="of a day's commands, per worker; docs/runbook.md, Stop approvals now",
    ),
    Panel(
        "Stops in force by command",
        "short",
        (("max(tenminute_control_stops)", "stops"),),
        "stat",
    ),
    Panel(
        "Bad-rate budget used",
        "percentunit",
        (("max by (segment) (tenminute_watch_budget_used_ratio)", "{{segment}}"),),
        what="spent over earned; the guard tightens at 60 % and refers all at 100 % by the policy",
    ),
    Panel(
        "Guard in force",
        "short",
        (("max by (segment) (tenminute_watch_guard_state)", "{{segment}}"),),
        "stat",
        what="0 normal, 1 cut-off raised, 2 all referred",
    ),
    Panel(
        "Loans gone bad, by amount",
        "percentunit",
        (
            (
                f'max by (segment, model, arm) ({BAD}{{by="amount", bound="share"}})',
                "{{segment}} {{model}} {{arm}}",
            ),
            (
                f'max by (segment, model, arm) ({BAD}{{by="amount", bound="low"}})',
                "{{segment}} {{model}} {{arm}} at least",
            ),
        ),
        what="of loans paid out within the guard's window, with the lower end of the 95 % interval",
    ),
    Panel(
        "Drift: stability index",
        "short",
        (
            (
                "topk(8, max by (segment, arm, series) (tenminute_watch_psi))",
                "{{segment}} {{arm}} {{series}}",
            ),
        ),
        what="of the last full window; whether it is beyond chance the next panel says",
    ),
    Panel(
        "Drift: windows beyond chance, a day",
        "short",
        (
            (
                "sum by (segment, series) (increase(tenminute_watch_drift_alarms_total[1d])) > 0",
                "{{segment}} {{series}}",
            ),
        ),
        what="without drift one window in a hundred",
    ),
    Panel(
        "Unknown and beyond training",
        "percentunit",
        (
            (
                "topk(5, max by (segment, arm, series) (tenminute_watch_missing_ratio))",
                "unknown: {{segment}} {{arm}} {{series}}",
            ),
            (
                "topk(5, max by (segment, arm, series) (tenminute_watch_outside_ratio))",
                "beyond: {{segment}} {{arm}} {{series}}",
            ),
        ),
    ),
    Panel("Models", "short", (("tenminute_model_info", "{{model}} {{version}}"),), "stat"),
    Panel("Policy", "short", (("tenminute_policy_info", "{{policy}}"),), "stat"),
)


def panel_json(number: int, panel: Panel) -> dict[str, Any]:
    """One panel at its place in the grid."""
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.what,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"textMode": "value_and_name"} if panel.kind == "stat" else {},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
            for n, (expr, legend) in enumerate(panel.queries)
        ],
    }


def dashboard() -> str:
    """The dashboard as Grafana reads it."""
    board = {
        "uid": "tenminute-engine",
        "title": "Ten-minute loan: engine",
        "tags": ["tenminute"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "panels": [panel_json(number, panel) for number, panel in enumerate(PANELS)],
    }
    return json.dumps(board, indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(dashboard(), encoding="utf-8")
