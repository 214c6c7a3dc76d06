"""The model card, written from the manifest so that the two cannot disagree."""

from __future__ import annotations

from stream.lab.card_recipe import data_and_search, inputs, leaks
from stream.lab.fairness import GROUP_ROWS_MIN, GROUP_SHARE_MIN
from stream.lab.hunt import Hunted
from stream.lab.plots import RELIABILITY_FILE
from stream.lab.recipe import Recipe
from stream.scoring.figures import Attribute, Calibration, Estimate, Fairness, Measured, Why
from stream.scoring.gate import ERROR_MAX, IMPACT_RATIO_MIN, INTERCEPT, SLOPE, crossed
from stream.scoring.manifest import Manifest

CARD_FILE = "card.md"


def _figures(label: str, measured: Measured) -> str:
    return (
        f"| {label} | {measured.rows:,} | {measured.bad_rate:.1%} | {measured.auc:.4f} "
        f"| {measured.gini:.4f} | {measured.ks:.4f} | {measured.brier:.4f} |"
    )


def _measures(manifest: Manifest) -> list[str]:
    metrics = manifest.metrics
    lines = [
        "| rows | count | bad | AUC | Gini | KS | Brier |",
        "|---|---|---|---|---|---|---|",
        _figures("held out, drawn by seed", metrics.held_out),
    ]
    if metrics.out_of_time is None:
        note = "Out of time: not measured, the data has no dates."
    else:
        lines.append(_figures("out of time", metrics.out_of_time))
        note = f"Out of time: {metrics.out_of_time.split}."
        if metrics.out_of_time.rows < 500:
            note += " So few rows prove nothing either way."
    return [
        *lines,
        "",
        note,
        f"Keeping each tree inside one reason family and the directions below: AUC "
        f"{metrics.held_out.auc:.4f}, without either {metrics.unconstrained_auc:.4f}.",
        f"Suggested cut-off {manifest.cut_off_suggestion_points} points: "
        f"{metrics.approved_share:.0%} of the held-out rows pass, "
        f"{metrics.approved_bad_rate:.1%} of those went bad.",
    ]


def _interval(found: Estimate) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _calibration(found: Calibration) -> list[str]:
    """Expected against observed, the tests, and what the reader may take from them."""
    lines = [
        "| tenth by pd | rows | expected bad | went bad | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {number} | {part.rows:,} | {part.expected:.1%} | {part.observed:.1%} "
        f"| {part.low:.1%} to {part.high:.1%} |"
        for number, part in enumerate(found.deciles, start=1)
    ]
    return [
        f"![pd against outcome]({RELIABILITY_FILE})",
        "",
        *lines,
        "",
        *_further(found),
        "",
        f"Of the held-out rows {found.expected_bad:,.0f} were expected to go bad and "
        f"{found.observed_bad:,} did. Expected calibration error {found.error:.2%}; the widest gap "
        f"of a tenth is {found.worst:.1%}.",
        f"Slope {_interval(found.slope)}, intercept in the large {_interval(found.intercept)}, "
        f"with 95 % intervals: {_recalibration(found)}",
        f"Spiegelhalter's z {found.spiegelhalter_z:.2f}, p {p_value(found.spiegelhalter_p)}. "
        f"Hosmer-Lemeshow {found.hosmer_lemeshow:.1f} on ten degrees of freedom, p "
        f"{p_value(found.hosmer_lemeshow_p)}{_verdict(found)}",
        "Formulas and sources: `stream/lab/calibration.py`.",
    ]


def _further(found: Calibration) -> list[str]:
    """Whether one more step would make the pd truer: each is measured, none is part of a model."""
    lines = [
        "| further step | log loss it takes away (95 %) | expected calibration error |",
        "|---|---|---|",
        f"| none | | {found.error:.2%} |",
    ]
    lines += [
        f"| {each.name} | {each.gain.value:+.4f} ({each.gain.low:+.4f} to {each.gain.high:+.4f}) "
        f"| {each.error:.2%} |"
        for each in found.recalibrated
    ]
    best = max(found.recalibrated, key=lambda each: each.gain.value)
    verdict = (
        f"{best.name} would help, by {best.gain.value:.4f}: too little to move the points, so the "
        "pd stays what the trees say and the tenths above say where it misses."
        if best.gain.low > 0.0
        else "None is shown to help, so none is taken."
    )
    return [*lines, "", f"Learned on each half of these rows, measured on the other. {verdict}"]


def p_value(value: float) -> str:
    """A p-value for people: what rounds to nothing is not nothing."""
    return "below 0.0001" if value < 0.0001 else f"{value:.4f}"


def _recalibration(found: Calibration) -> str:
    ideal = (
        found.slope.low <= 1.0 <= found.slope.high
        and found.intercept.low <= 0.0 <= found.intercept.high
    )
    return (
        "1 and 0 lie inside, so shifting and stretching the score would not improve it here."
        if ideal
        else "the ideal 1 and 0 do not both lie inside."
    )


def _verdict(found: Calibration) -> str:
    if found.hosmer_lemeshow_p >= 0.05:
        return "."
    return (
        ": the pd is not right in every tenth. See the table for where; a cut-off set from the pd "
        "of such a tenth misses by that much."
    )


def _groups(attribute: Attribute) -> list[str]:
    lines = [
        f"| {attribute.name} | rows | approved | of the repaid | expected bad | went bad |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {group.name}{'' if group.judged else ' *'} | {group.rows:,} | {group.approved:.1%} "
        f"| {group.good_approved:.1%} | {group.expected:.1%} | {group.observed:.1%} |"
        for group in attribute.groups
    ]
    return [*lines, "", *_ratio(attribute), ""]


def _ratio(attribute: Attribute) -> list[str]:
    ratio, good = attribute.impact_ratio, attribute.good_impact_ratio
    if ratio is None or good is None:
        return [f"By {attribute.name}: too few rows to judge."]
    line = f"Impact ratio by {attribute.name} {ratio:.2f}, among the repaid {good:.2f}"
    if ratio >= IMPACT_RATIO_MIN:
        return [f"{line}: inside the line of {IMPACT_RATIO_MIN}."]
    return [f"{line}: **below the line of {IMPACT_RATIO_MIN}**.{origin(attribute.why)}"]


def origin(found: Why | None) -> str:
    """What an impact ratio comes from, family by family, as a sentence after another."""
    if found is None:
        return ""
    gaps = ", ".join(f"{each.family} {each.points:+.1f}" for each in found.gaps)
    line = (
        f" Where it comes from: mean points by family of {found.lowest} less those of "
        f"{found.highest}: {gaps}."
    )
    if not found.evened or found.evened_ratio is None:
        return line
    evened = " and ".join(found.evened)
    return f"{line} With {evened} at everyone's mean the ratio would be {found.evened_ratio:.2f}."


def _fairness(found: Fairness) -> list[str]:
    expected, observed = found.expected_and_observed
    lines = [
        f"At the suggested cut-off, on {found.measured_on}. Not in the data, so not measured: "
        f"{', '.join(found.absent)}.",
        f"Of all these rows {expected:.1%} were expected to go bad and {observed:.1%} did.",
        "",
    ]
    for attribute in found.attributes:
        lines += _groups(attribute)
    return [
        *lines,
        f"\\* not judged: no name, fewer than {GROUP_ROWS_MIN} rows, or less than "
        f"{GROUP_SHARE_MIN:.0%} of them.",
        "The impact ratio is the lowest share of approvals over the highest (four-fifths rule, 29 "
        "CFR 1607.4 D). Shares of groups: fairlearn.",
    ]


def _gate(manifest: Manifest) -> list[str]:
    """The lines, then each that is crossed or not measured, with why it was accepted."""
    metrics = manifest.metrics
    return [
        f"On held-out rows an impact ratio is at least {IMPACT_RATIO_MIN}; the interval of the "
        f"slope reaches into {SLOPE[0]:g} to {SLOPE[1]:g} and that of the intercept into "
        f"{INTERCEPT[0]:g} to {INTERCEPT[1]:g}, and neither holds all of it; the expected "
        f"calibration error is at most {ERROR_MAX:.0%}. What was not measured does not pass. A "
        "model beyond a line is not written, signed or loaded unless the line was accepted with a "
        "reason and two people signed.",
        "",
        *(
            f"- {each.words}. **Accepted**: {metrics.accepted.get(each.line, 'by nobody')}."
            for each in crossed(metrics.calibration, metrics.fairness)
        ),
    ]


def _points(manifest: Manifest) -> list[str]:
    scaling = manifest.scaling
    return [
        f"{scaling.base_points} points are good-to-bad odds of {scaling.base_odds:g} to 1; "
        f"{scaling.pdo:g} more double the odds. The scale is in the manifest and in the model "
        "file, and the engine refuses a model where the two differ.",
        "Leaves and base are multiples of 2^-20, so every sum is exact in float32: no order, "
        "batch or processor changes a score.",
    ]


def _use(manifest: Manifest) -> list[str]:
    return [
        f"For the segment `{manifest.segment.value}`: to approve small loans of listed, known "
        "customers by machine or hand them to a person; never to decline. Not for pricing, "
        "collection, provisions or capital.",
        "Model risk management: the recipe and this card are the developer's; validation by "
        "somebody else, the decision to use it and the watch in use are the bank's, and nothing "
        "here stands in for them.",
    ]


def _offer_limit(manifest: Manifest) -> list[str]:
    """What the standing offer is made of in the small-business loans."""
    if "amount_to_limit" not in manifest.feature_names:
        return []
    return [
        "- The offer's limit is played by the guaranteed part of the loan, so every training row "
        "asks for more than its limit: up to 1, amount_to_limit counts like the lowest learned.",
        "- A half-and-half sample stands behind the out-of-time figure: read its ranking, not its "
        "Brier score.",
    ]


def card(manifest: Manifest, recipe: Recipe, hunt: Hunted) -> str:
    """Markdown for people: what it is, how good, what it must not be taken for.

    The recipe adds only what no engine needs: where the data lies, and why things are so.
    """
    data = manifest.training_data
    lines = [
        f"# {manifest.model_id} {manifest.version}",
        "",
        f"{manifest.algorithm}. Its outputs are the log-odds of bad by reason family; "
        "their sum is the score.",
        "",
        f"Trained on {data.rows:,} rows of {data.name}; licence: {data.licence}.",
        "",
        "## Data and search",
        *data_and_search(recipe),
        "",
        "## Use",
        *_use(manifest),
        "",
        "## Figures",
        *_measures(manifest),
        "",
        "## Calibration",
        *_calibration(manifest.metrics.calibration),
        "",
        "## Groups of people",
        *_fairness(manifest.metrics.fairness),
        "",
        "## Gate",
        *_gate(manifest),
        "",
        "## Points",
        *_points(manifest),
        "",
        "## Inputs",
        *inputs(manifest, recipe),
        "",
        "## Leaks",
        *leaks(hunt),
        "",
        "## Limits",
        *(f"- **{caveat}.**" for caveat in manifest.caveats),
        "- Rejected-applicant bias: the data holds granted loans only. Nobody who was refused is "
        "in it and nothing is inferred about them, so every figure above flatters on applicants "
        "whom that lender would have refused.",
        f"- The data's bad rate is {manifest.metrics.held_out.bad_rate:.1%}; a bank's list with "
        "0.5 % is another population. The pd holds for the first: recalibrate and set the "
        "cut-off on your own outcomes.",
        "- Loans of another country and other years: method and ranking carry over, levels do not.",
        "- Amounts are in hundredths of the source's currency unit, not converted to yuan.",
        *_offer_limit(manifest),
        "- No sex, age, marital status, citizenship or place is an input, nor anything made from "
        "the applicant's id.",
        "",
    ]
    return "\n".join(lines)
