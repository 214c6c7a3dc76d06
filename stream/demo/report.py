"""The HTML report: one file, no outside asset, light and dark, readable on a phone."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from stream.demo.closing import closing_lines
from stream.demo.report_data import ReportData
from stream.demo.report_plots import plots
from stream.demo.state import Tallied
from stream.domain.application import Channel, Segment

TEMPLATE = "report.html.j2"


def write_report(data: ReportData, file: Path) -> None:
    """Write the report to `file`."""
    file.write_text(render_report(data), encoding="utf-8")


def render_report(data: ReportData) -> str:
    """The report's HTML."""
    environment = Environment(
        loader=PackageLoader("stream.demo", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        data=data,
        figures=_figures(data),
        channels=_channels(data),
        segments=[segment.value for segment in Segment],
        plots=plots(data),
        lines=closing_lines(data.reconciliation),
        adds_up=data.reconciliation.adds_up,
    )


def _figures(data: ReportData) -> list[tuple[str, str]]:
    paid = data.reconciliation.paid
    return [
        ("decided", f"{data.decided:,}"),
        ("approved", _share(data.approved, data.decided)),
        ("referred", _share(data.decided - data.approved, data.decided)),
        ("median decision", f"{data.quantile_ms(0.5):,} ms"),
        ("99th percentile", f"{data.quantile_ms(0.99):,} ms"),
        ("paid", "not run" if paid is None else f"{paid:,}"),
    ]


def _channels(data: ReportData) -> list[tuple[str, list[str]]]:
    """Per channel: decided, approved, referred, then the approval rate of each segment."""
    rows = []
    for channel in Channel:
        cells = [data.cells.get((channel.value, segment.value), Tallied()) for segment in Segment]
        decided = sum(cell.decided for cell in cells)
        approved = sum(cell.approved for cell in cells)
        counts = [f"{decided:,}", f"{approved:,}", f"{decided - approved:,}"]
        rates = [_share(cell.approved, cell.decided) for cell in cells]
        rows.append((channel.value, counts + rates))
    return rows


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
