"""Further parts of the benchmark's text: shipped recipes, the untuned reference, age bands."""

from __future__ import annotations

from stream.lab.benchmark.ages import APPROVED_SHARE
from stream.lab.benchmark.result import GOAL, Outcome, Shipped
from stream.lab.benchmark.sets import BENCHES
from stream.lab.benchmark.text import cost, signed, standing, table
from stream.lab.benchmark.trial import UNCONSTRAINED
from stream.lab.benchmark.untuned import LEAVES, TREES
from stream.lab.fairness import GROUP_ROWS_MIN, GROUP_SHARE_MIN
from stream.lab.recipe import RECIPES
from stream.scoring.gate import IMPACT_RATIO_MIN

TOP = 3


def shipped(found: list[Shipped]) -> list[str]:
    """The committed recipes as they are trained, what each constraint costs, why it is kept."""
    rows = [
        [f"{s.model_id} {s.version}", f"{s.rows:,}", f"{s.bad_rate:.1%}", f"{s.family.auc:.4f}",
         f"{s.free.auc:.4f}", cost(s.cost), standing(s.cost)]
        for s in found
    ]  # fmt: skip
    head = "model | rows measured | bad | as shipped | unconstrained | cost (95 %) | goal"
    return [
        "What `tenminute train` runs, with its own families, directions and shape. The benchmark's "
        "farmers and merchants below join two families and leave amount_to_limit without its "
        "direction, so their figures are not those of the engine's models.",
        "",
        *table(head, rows),
        "",
        *(_loosened(s) for s in found),
    ]


def _loosened(found: Shipped) -> str:
    gains = {each.what: each.gain for each in found.loosened}
    singly = [each for each in found.loosened if each.what not in ("no families", "neither")]
    singly = [each for each in singly if each.what != "no directions"]
    best = sorted(singly, key=lambda each: -each.gain)[:TOP]
    told = "; ".join(f"{each.what} {signed(each.gain)}" for each in best)
    return (
        f"- **{found.model_id}**: without directions {signed(gains['no directions'])}, without "
        f"families {signed(gains['no families'])}, without either {signed(gains['neither'])}. One "
        f"at a time, the most: {told}. The split is {RECIPES[found.model_id].families_why}."
    )


def all_loosened(found: list[Shipped]) -> list[str]:
    """Each loosening of each shipped recipe."""
    return table(
        "model | loosened | gain",
        ([s.model_id, each.what, signed(each.gain)] for s in found for each in s.loosened),
    )


def reference(outcome: Outcome) -> str:
    """The untuned reference for the headline table."""
    return "none" if outcome.untuned is None else f"{outcome.untuned.reference_auc:.3f}"


def untuned(outcomes: list[Outcome]) -> list[str]:
    """Our unconstrained rival beside the reference, and what makes the difference."""
    rows, below = [], []
    for outcome in outcomes:
        found = outcome.untuned
        if found is None:
            continue
        figures = outcome.splits[0].models[UNCONSTRAINED]
        gap = figures.auc - found.reference_auc
        ks = "" if found.reference_ks is None else f" / {found.reference_ks:.3f}"
        title = outcome.title + (f" ({found.what})" if found.what else "")
        rows.append(
            [title, f"{found.reference_auc:.3f}{ks}", f"{figures.auc:.4f} / {figures.ks:.4f}",
             signed(gap), f"{found.inputs_auc:.4f}", f"{found.all_auc:.4f}",
             ", ".join(found.left_out) or "none"]
        )  # fmt: skip
        if gap < 0:
            below.append(outcome)
    head = (
        "set | reference AUC / KS | our unconstrained AUC / KS | difference | untuned, our rows "
        "and inputs | untuned, with what is left out | left out though known in time"
    )
    return [
        f"With the data came figures of an untuned LightGBM ({TREES} trees, {LEAVES} leaves), "
        "measured on a fifth of each set that is not here. Its recipe is run again on the rows "
        "measured here: once on our inputs, once with every column that is left out though known "
        "in time.",
        "",
        *table(head, rows),
        "",
        *_why_below(below),
        "- Of the whole SBA core file the reference is 0.750 / 0.365 over all sectors, 0.783 for "
        "wholesale, 0.733 for retail, 0.687 for food and lodging: one model of all sectors, loans "
        "guaranteed in full among its rows. Our merchants are these three sectors without those.",
    ]


def _why_below(below: list[Outcome]) -> list[str]:
    """Of each set below its reference: how much of the gap the columns left out explain."""
    lines = [f"Below the reference on {len(below)} sets:", ""] if below else []
    for outcome in below:
        found = outcome.untuned
        assert found is not None
        ours = outcome.splits[0].models[UNCONSTRAINED].auc
        columns = found.all_auc - found.inputs_auc
        tuned = "below" if found.inputs_auc < ours else "above"
        searched = " Our search of four shapes leaves that much behind." if tuned == "above" else ""
        lines.append(
            f"- {outcome.title}: {signed(ours - found.reference_auc)}. On the same rows and "
            f"inputs the untuned recipe is {tuned} ours by {abs(found.inputs_auc - ours):.4f}; the "
            f"columns left out are worth {signed(columns)} to it; the rest, "
            f"{signed(found.all_auc - found.reference_auc)}, is other rows.{searched}"
        )
    return lines


def ages(outcomes: list[Outcome]) -> list[str]:
    """Approvals by age band, beside the gate's line."""
    rows, ratios = [], []
    for outcome in outcomes:
        if outcome.ages is None:
            continue
        for group in outcome.ages.groups:
            name = group.name if group.judged else f"{group.name} *"
            shares = [group.approved, group.good_approved, group.expected, group.observed]
            rows.append([outcome.title, name, f"{group.rows:,}", *(f"{s:.1%}" for s in shares)])
        ratio, good = outcome.ages.impact_ratio, outcome.ages.good_impact_ratio
        if ratio is None or good is None:
            ratios.append(f"- {outcome.title}: too few rows to judge.")
            continue
        inside = ratio >= IMPACT_RATIO_MIN
        verdict = "inside the line" if inside else "**below the line**"
        accepted = "" if inside else f" Accepted: {BENCHES[outcome.name].accepted}."
        ratios.append(
            f"- {outcome.title}: impact ratio {ratio:.2f}, among the repaid {good:.2f}: {verdict}."
            f"{accepted}"
        )
    return [
        "The committed models' data has no age, so this is where the kind of model can be asked. "
        f"Age is no input. Approved are the best {APPROVED_SHARE:.0%} by the family-constrained "
        "model on rows it never saw; shares of groups by fairlearn.",
        "",
        *table("set | age | rows | approved | of the repaid | expected bad | went bad", rows),
        "",
        *ratios,
        "",
        f"The gate: an impact ratio, the lowest share of approvals over the highest, of at least "
        f"{IMPACT_RATIO_MIN} (four-fifths rule, 29 CFR 1607.4 D), or the run ends unless the "
        "recipe says why. "
        f"\\* not judged: fewer than {GROUP_ROWS_MIN} rows or {GROUP_SHARE_MIN:.0%} of them.",
    ]


def goal_text() -> str:
    """What the benchmark is measured against."""
    return (
        f"- **Goal.** The constraints cost at most {GOAL} AUC; the published figure and the "
        "untuned reference are reached."
    )
