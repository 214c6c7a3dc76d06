"""The benchmark as text: a full page of results, and a section of the models document."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from textwrap import fill

from stream.lab.benchmark.recipe import (
    FOLDS,
    INNER_FOLDS,
    PATIENCE,
    ROWS_FOLDED_MAX,
    ROWS_INNER_FOLDED_MAX,
    ROWS_SEARCHED_MAX,
    SHAPES,
    TREES_MAX,
)
from stream.lab.benchmark.report_more import (
    ages,
    all_loosened,
    goal_text,
    reference,
    shipped,
    untuned,
)
from stream.lab.benchmark.result import GOAL, Outcome, Shipped
from stream.lab.benchmark.sets import BENCHES
from stream.lab.benchmark.text import cost, signed, standing, table
from stream.lab.benchmark.trial import FAMILY, SCORECARD, UNCONSTRAINED
from stream.lab.leaks import ABSENCE_AUC_MAX, ALONE_AUC_MAX, GAIN_MAX

LABELS = {
    FAMILY: "family-constrained",
    UNCONSTRAINED: "unconstrained",
    SCORECARD: "WoE scorecard",
}
PLOTS = {
    "benchmark-auc.svg": "AUC of the three models by set, with 95 % intervals, beside published "
    "figures",
    "benchmark-cost.svg": "What the constraints cost in AUC by set, with 95 % intervals",
    "benchmark-reliability.svg": "Expected and observed bad rate by tenth of the score",
}
WIDTH = 100
TOP = 3
PRICE_MIN = 0.0005
PACKAGES = ("lightgbm", "optbinning", "scikit-learn", "numpy", "pandas")


def _text(lines: Iterable[str]) -> str:
    """The lines as a document: prose folded, tables and pictures as they are."""
    folded = [
        line
        if line.startswith(("|", "#", "!"))
        else fill(line, WIDTH, subsequent_indent="  " * line.startswith("- "),
                  break_long_words=False, break_on_hyphens=False)
        for line in lines
    ]  # fmt: skip
    return "\n".join(folded)


def _headline(outcomes: list[Outcome], kind: str) -> list[str]:
    rows = []
    for outcome in outcomes:
        for split in (s for s in outcome.splits if s.kind == kind):
            aucs = [f"{split.models[name].auc:.4f}" for name in LABELS]
            shown = ", ".join(f"{p.auc:.3f}" for p in outcome.published) or "none"
            facts = [outcome.title, f"{split.rows:,}", f"{split.bad_rate:.1%}", *aucs]
            given = [reference(outcome), shown]
            rows.append([*facts, cost(split.cost), standing(split.cost), *given])
    head = "set | rows measured | bad | family-constrained | unconstrained | WoE scorecard | "
    return table(head + "cost (95 %) | goal | untuned reference | published", rows)


def _figures(outcomes: list[Outcome], kind: str) -> list[str]:
    rows = []
    for outcome in outcomes:
        for split in (s for s in outcome.splits if s.kind == kind):
            for name, label in LABELS.items():
                f = split.models[name]
                auc = f"{f.auc:.4f} ({f.auc_low:.4f} to {f.auc_high:.4f})"
                rest = [f.gini, f.ks, f.brier, f.calibration_error]
                rows.append([outcome.title, label, auc, *(f"{value:.4f}" for value in rest)])
    return table("set | model | AUC (95 %) | Gini | KS | Brier | calibration error", rows)


def _published(outcomes: list[Outcome]) -> list[str]:
    rows = []
    for outcome in outcomes:
        ours = outcome.splits[0].models[FAMILY].auc
        for p in outcome.published:
            standing = "at or above" if ours >= p.auc else f"below by {p.auc - ours:.4f}"
            rows.append([outcome.title, f"{p.auc:.4f}", p.what, p.source, p.comparable])
            rows[-1].append(f"{ours:.4f}, {standing}")
    return table("set | published AUC | model | source | what differs | ours", rows)


def _short(outcomes: list[Outcome]) -> list[str]:
    """For every set that misses the goal: what it is that costs, and what has been tried."""
    lines = []
    for outcome in outcomes:
        split = outcome.splits[0]
        if split.cost.auc >= -GOAL:
            continue
        prices = {price.what: price.gain for price in outcome.prices}
        single = [p for p in outcome.prices[2:] if p.what not in outcome.coarser]
        single = sorted(single, key=lambda price: -price.gain)[:TOP]
        worth = [f"{p.what} {signed(p.gain)}" for p in single if p.gain >= PRICE_MIN]
        tried = "; ".join(worth) if worth else f"no single one gives back {PRICE_MIN} or more"
        coarser = "".join(f" {text}: {signed(prices[text])}." for text in outcome.coarser)
        lines.append(
            f"- **{outcome.title}**: {cost(split.cost)}, {standing(split.cost)}. Without "
            f"directions {signed(prices['no directions'])}, without families "
            f"{signed(prices['no families'])}. Loosened one at a time (first fold): {tried}."
            f"{coarser}"
        )
    return lines or ["- None."]


def _protected(outcomes: list[Outcome]) -> list[str]:
    return [
        f"- {outcome.title}: {signed(outcome.protected_gain)} AUC."
        for outcome in outcomes
        if outcome.protected_gain is not None
    ]


def _outside(outcomes: list[Outcome]) -> list[str]:
    rows = []
    for outcome in outcomes:
        for c in outcome.outside:
            facts = [outcome.title, f"`{c.column}`", c.known_at, f"{c.auc_alone:.3f}"]
            rows.append([*facts, signed(c.gain), ", ".join(c.marks), c.why])
    head = "set | column | known at | AUC alone | gain on top | marks | why it stays out"
    return table(head, rows)


def _marks(outcomes: list[Outcome]) -> list[str]:
    rows = [
        [outcome.title, f"`{m.column}`", m.mark, m.text, m.answer or "none"]
        for outcome in outcomes
        for m in outcome.marks
    ]
    return table("set | input | mark | what was seen | why it stays", rows)


def _families(outcomes: list[Outcome]) -> list[str]:
    lines = []
    for outcome in outcomes:
        lines += [f"**{outcome.title}** (`{outcome.name}`, `{outcome.file}`)", ""]
        lines += [f"- {text}: {', '.join(names)}" for text, names in outcome.families.items()]
        lines += [
            f"- Searched: family-constrained {outcome.shapes[FAMILY]}; unconstrained "
            f"{outcome.shapes[UNCONSTRAINED]}; {outcome.trained} boosted models trained."
        ]
        lines += [f"- {outcome.note}"] if outcome.note else []
        lines += [""]
    return lines  # fmt: skip


def _not_run(outcomes: list[Outcome]) -> list[str]:
    """The sets that are missing here, so that a part is not taken for the whole."""
    there = {outcome.name for outcome in outcomes}
    missing = [f"`{name}`" for name in BENCHES if name not in there]
    return [f"**Not run yet: {', '.join(missing)}.**", ""] if missing else []


def _method() -> list[str]:
    shapes = ", ".join(f"{s.leaves}/{s.min_leaf_rows}/{s.l2:g}/{s.columns:g}" for s in SHAPES)
    return [
        f"- **Rows.** Public loans with outcomes, the part of them that is there for development. "
        f"Random: {FOLDS} folds by seed, so that each row is scored once by a model that never saw "
        f"it; above {ROWS_FOLDED_MAX:,} rows one fifth. Out of time where the data has dates. "
        "SBA farmers and merchants: loans guaranteed in part, as in the engine's models.",
        "- **Rivals.** Same rows, same inputs. *Family-constrained* is the engine's kind of model: "
        "LightGBM, each tree inside one reason family, directions declared. *Unconstrained* is "
        "LightGBM with neither. *WoE scorecard* is optimal binning (optbinning), weights of "
        "evidence, logistic regression.",
        f"- **Search.** For both boosted models, {len(SHAPES)} shapes (leaves/rows a "
        f"leaf/L2/share of columns a tree: {shapes}), at most {TREES_MAX} trees, stopped after "
        f"{PATIENCE} without gain on an inner fifth ({INNER_FOLDS} inner folds up to "
        f"{ROWS_INNER_FOLDED_MAX:,} rows), then trained again on all rows of the fold. Above "
        f"{ROWS_SEARCHED_MAX:,} rows the shape found in the first fold serves for all.",
        "- **Intervals.** DeLong, 95 %. The cost is the difference on the same rows, so its "
        "interval is narrower than those of the two AUCs. It does not cover the luck of the split.",
        "- **Calibration error.** Mean gap between expected and observed bad rate over ten equal "
        "parts by score; no recalibration of any model.",
        goal_text(),
    ]


def _bias() -> list[str]:
    return [
        "Every row is a loan that was granted. Nobody who was refused is in these sets, so no "
        "figure here says how a model ranks those, and a cut-off moved down reaches people the "
        "models have never seen. Nothing is inferred about them. Prices, grades and checks of the "
        "lender chose who is here; a model learns what was left to learn after that choice.",
    ]


def _leaks() -> list[str]:
    return [
        "Every column of a file is declared with when it is known. Then the numbers are asked: "
        f"`alone` is an AUC above {ALONE_AUC_MAX} from one column, `gain` more than {GAIN_MAX} AUC "
        f"on top of all others, `absence` an AUC above {ABSENCE_AUC_MAX} from the mere fact that a "
        "value is missing. A mark on an input without an answer in its recipe ends the run.",
    ]


def page(outcomes: list[Outcome], recipes: list[Shipped], on: date) -> str:
    """The full results."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        f"# {on.isoformat()}: models on public credit data",
        "",
        "Command: `tenminute benchmark --all`. Method and plots: "
        "[docs/models.md](../../docs/models.md).",
        f"Versions: {versions}. The same data and versions give the same figures to the digit.",
        "",
        *_not_run(outcomes),
        "## Random split",
        "",
        *_figures(outcomes, "random"),
        "",
        "## Out of time",
        "",
        *_figures(outcomes, "time"),
        "",
        *(f"- {o.title}: {s.text}; learned from {s.learned_rows:,} rows."
          for o in outcomes for s in o.splits if s.kind == "time"),
        "",
        "## What each loosening would add",
        "",
        "AUC of the family-constrained model, same shapes, with one constraint less. Single pairs "
        "of families and single directions are tried where the goal is missed, in the first fold.",
        "",
        *table("set | loosened | gain",
                ([o.title, p.what, signed(p.gain)] for o in outcomes for p in o.prices)),
        "",
        "## What each loosening of the shipped recipes would add",
        "",
        *all_loosened(recipes),
        "",
        "## Marks of the leak hunt on inputs",
        "",
        *_marks(outcomes),
        "",
        "## Columns that are known too late",
        "",
        *_outside(outcomes),
        "",
        "## Families and inputs",
        "",
        *_families(outcomes),
    ]  # fmt: skip
    return _text(lines).rstrip("\n") + "\n"


def section(outcomes: list[Outcome], recipes: list[Shipped], results: str) -> str:
    """The benchmark's section of the models document; `results` is the full page's file name."""
    lines = [
        "Written by `tenminute benchmark --all`: the engine's kind of model on every public set at "
        f"hand, beside two rivals. All figures: [{results}](../bench/results/{results}).",
        "",
        *_not_run(outcomes),
        "### Method",
        "",
        *_method(),
        "",
        "### The recipes as shipped",
        "",
        *shipped(recipes),
        "",
        "### AUC on rows drawn by seed",
        "",
        *_headline(outcomes, "random"),
        "",
        *(f"![{text}](images/{name})\n" for name, text in PLOTS.items()),
        "### AUC out of time",
        "",
        *_headline(outcomes, "time"),
        "",
        *(f"- {o.title}: {s.text}." + (f" {o.note}" if o.note else "")
          for o in outcomes for s in o.splits if s.kind == "time"),
        "",
        "### Where the constraints cost more than the goal",
        "",
        *_short(outcomes),
        "",
        "### Beside published figures",
        "",
        *_published(outcomes),
        "",
        "What the unconstrained model would gain from sex, age, family and origin, which are "
        "inputs of most published models and of none here:",
        "",
        *_protected(outcomes),
        "",
        "### Beside the untuned reference",
        "",
        *untuned(outcomes),
        "",
        "### Age bands",
        "",
        *ages(outcomes),
        "",
        "### Leaks",
        "",
        *_leaks(),
        "",
        *_outside(outcomes),
        "",
        "### Nobody refused is in the data",
        "",
        *_bias(),
    ]  # fmt: skip
    return _text(lines)
