"""What `tenminute what-if` does: judge logged decisions by another policy or model, and tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from stream.audit.swaps import ALL, Group, Sums, add, merged
from stream.audit.what_if import Logged, WhatIf, read
from stream.config import Settings
from stream.domain.instant import to_ms
from stream.edge.model_folder import trusted_keys
from stream.edge.onnx_scorer import OnnxScorer, load_models
from stream.errors import ConfigError, Exit
from stream.ops.crew import results, watched
from stream.ops.replay import WIDTH, Wanted, spans_of
from stream.ops.spans import Seen
from stream.policy.load import load_policy

TOGETHER = 2_000
REASONS_SHOWN = 3


class Asked(NamedTuple):
    """The policy, the models in place of those it names, the share that is lost of a default."""

    policy: Path
    models: tuple[Path, ...]
    lgd: float


class Part(msgspec.Struct):
    """What one span came to; `passed_over` are answers of reviewers and dead letters."""

    sums: dict[str, Sums]
    passed_over: int = 0
    unreadable: int = 0

    def total(self) -> int:
        """How many decisions were judged."""
        return sum(sums.decisions for sums in self.sums.values())


class WhatIfJob(NamedTuple):
    """What a process needs to judge spans."""

    asked: Asked
    wanted: Wanted

    def begin(self, settings: Settings) -> Callable[[Iterable[Seen]], Part]:
        """Load the policy and the models."""
        what_if = what_if_of(settings, self.asked)
        return lambda records: _judge(what_if, self.wanted, records)


def what_if_of(settings: Settings, asked: Asked) -> WhatIf:
    """The policy and models that are asked about; ConfigError for a model no segment uses."""
    policy, trusted = load_policy(asked.policy), trusted_keys(settings)
    names = policy.models
    given = [OnnxScorer(folder, trusted) for folder in asked.models]
    instead = {each.manifest.model_id: each for each in given}
    for name in instead:
        if name not in names:
            raise ConfigError(
                f"no segment of {asked.policy} uses a model {name}",
                fix=f"give a model of {', '.join(names)}",
            )
    rest = load_models(
        settings.models_dir, [each for each in names if each not in instead], trusted
    )
    return WhatIf(policy, {**rest, **instead}, frozenset(instead))


def run(
    settings: Settings, job: WhatIfJob, workers: int, *, as_json: bool, plots: Path | None
) -> Exit:
    """Judge what is wanted, tell it, draw it."""
    what_if_of(settings, job.asked)  # what is wrong with them is said once, and here
    started = time.monotonic()
    with ExitStack() as stack:
        settings, spans = spans_of(stack, settings, job.wanted)
        found = results(settings, job, spans, workers)
        parts = list(watched(found, spans, Part.total, hidden=as_json))
    seconds = time.monotonic() - started
    sums = merged(part.sums for part in parts)
    if plots is not None:
        _draw(plots, sums, job.asked)
    unreadable = sum(part.unreadable for part in parts)
    told: dict[str, Any] = {
        "policy": str(job.asked.policy),
        "models": [str(each) for each in job.asked.models],
        "lgd": job.asked.lgd,
        "decisions": sums[ALL].decisions,
        "passed_over": sum(part.passed_over for part in parts),
        "unreadable": unreadable,
        "seconds": round(seconds, 3),
        "decisions_per_minute": round(60 * sums[ALL].decisions / seconds) if seconds else 0,
        "groups": {name: _document(each, job.asked.lgd) for name, each in sums.items()},
    }
    if as_json:
        typer.echo(msgspec.json.encode(told).decode())
    else:
        _show(told, sums, job.asked.lgd)
    return Exit.FAILED if unreadable or not sums[ALL].decisions else Exit.OK


def _draw(folder: Path, sums: dict[str, Sums], asked: Asked) -> None:
    try:
        from stream.ops.what_if_plots import draw  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"pictures need the package {error.name}", fix="pip install 'ten-minute-loan[demo]'"
        ) from None
    draw(folder, sums, load_policy(asked.policy), asked.lgd)


def _judge(what_if: WhatIf, wanted: Wanted, records: Iterable[Seen]) -> Part:
    part = Part({})
    waiting = iter(records)
    while together := list(islice(waiting, TOGETHER)):
        logged = [each for each in (_read(seen, wanted, part) for seen in together) if each]
        add(part.sums, (each for each in what_if.effects(logged) if each is not None))
    return part


def _read(seen: Seen, wanted: Wanted, part: Part) -> Logged | None:
    """A decision that is asked about; what is none is counted and passed over."""
    if wanted.partition not in (None, seen.partition):
        return None
    try:
        logged = read(seen.value)
        within = logged is not None and wanted.within(to_ms(logged.decision.decided_at))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        part.unreadable += 1
        return None
    part.passed_over += logged is None
    return logged if within else None


def _document(sums: Sums, lgd: float) -> dict[str, Any]:
    return {
        "decisions": sums.decisions,
        "rescored": sums.rescored,
        **{
            name: {
                **_group(group, lgd),
                "approval_rate": group.count / sums.decisions if sums.decisions else None,
            }
            for name, group in (("before", sums.before), ("after", sums.after))
        },
        "before_by_new_pd": _group(sums.before_by_new_pd, lgd),
        "swapped_in": {**_group(sums.swapped_in, lgd), "reasons": dict(sums.swapped_in.reasons)},
        "swapped_out": {**_group(sums.swapped_out, lgd), "reasons": dict(sums.swapped_out.reasons)},
        "resized": {"count": sums.resized, "by_fen": sums.resized_by_fen},
    }


def _group(group: Group, lgd: float) -> dict[str, Any]:
    return {
        "count": group.count,
        "amount_fen": group.amount_fen,
        "mean_pd": group.mean_pd,
        "expected_loss_fen": group.loss_fen(lgd),
        "expected_loss_share": group.loss_share(lgd),
    }


def _show(told: dict[str, Any], sums: dict[str, Sums], lgd: float) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not sums[ALL].decisions:
        console.print("no such decision in the audit")
        return
    for name, each in sums.items():
        # One segment alone is all there is.
        if len(sums) > 2 or name != ALL:
            console.print(_before_after(name, each, lgd), width=WIDTH)
            console.print(_swaps(each), width=WIDTH)
            _reasons(console, each)
            console.print()
    passed = f", {told['passed_over']:,} passed over" if told["passed_over"] else ""
    wrong = f", {told['unreadable']:,} unreadable" if told["unreadable"] else ""
    console.print(
        f"{told['decisions']:,} decisions{passed}{wrong} in {told['seconds']:,.1f} s, "
        f"{told['decisions_per_minute']:,} a minute; {sums[ALL].rescored:,} scored anew; "
        f"expected loss = pd x {lgd:g} x amount"
    )


def _before_after(name: str, sums: Sums, lgd: float) -> Table:
    table = _table(f"{name}, {sums.decisions:,}", "before", "after", "change")
    before, after = sums.before, sums.after
    rates = [100 * each.count / sums.decisions for each in (before, after)]
    table.add_row(
        "approved", f"{before.count:,}", f"{after.count:,}", _signed(after.count - before.count)
    )
    table.add_row(
        "approval rate", *(f"{each:.2f} %" for each in rates), _points(rates[1] - rates[0])
    )
    yuan = [round(each.amount_fen / 100) for each in (before, after)]
    table.add_row("amount, yuan", *(f"{each:,}" for each in yuan), _signed(yuan[1] - yuan[0]))
    lost = [round(each.loss_fen(lgd) / 100) for each in (before, after)]
    table.add_row(
        "expected loss, yuan", *(f"{each:,}" for each in lost), _signed(lost[1] - lost[0])
    )
    if sums.rescored:
        by_new = round(sums.before_by_new_pd.loss_fen(lgd) / 100)
        table.add_row(
            "  both by the new pd", f"{by_new:,}", f"{lost[1]:,}", _signed(lost[1] - by_new)
        )
    shares = [each.loss_share(lgd) for each in (before, after)]
    percent = [f"{100 * each:.3f} %" if each is not None else "" for each in shares]
    table.add_row("  of the amount", *percent, "")
    return table


def _swaps(sums: Sums) -> Table:
    table = _table("", "count", "yuan", "mean pd")
    for name, group in (("swapped in", sums.swapped_in), ("swapped out", sums.swapped_out)):
        pd = "" if group.mean_pd is None else f"{100 * group.mean_pd:.2f} %"
        table.add_row(name, f"{group.count:,}", f"{round(group.amount_fen / 100):,}", pd)
    table.add_row(
        "other amount", f"{sums.resized:,}", _signed(round(sums.resized_by_fen / 100)), ""
    )
    return table


def _reasons(console: Console, sums: Sums) -> None:
    """The commonest first reasons of those who change sides."""
    for name, group in (("in, referred before by", sums.swapped_in), ("out, by", sums.swapped_out)):
        common = group.reasons.most_common(REASONS_SHOWN)
        if common:
            told = ", ".join(f"{code} {count:,}" for code, count in common)
            console.print(f"  {name}: {told}")


def _table(first: str, *titles: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, width=22)
    for title in titles:
        table.add_column(title, justify="right", width=17)
    return table


def _points(change: float) -> str:
    return f"{change:+.2f} pp" if change else "0"


def _signed(value: int) -> str:
    return f"{value:+,}" if value else "0"
