"""The model card, written from the manifest so that the two cannot disagree."""

from __future__ import annotations

from stream.scoring.manifest import Manifest, Measured


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


def _inputs(manifest: Manifest) -> list[str]:
    direction = {1: "higher is riskier", -1: "higher is safer", 0: "free"}
    lines = ["| feature | reason family | direction | may be missing |", "|---|---|---|---|"]
    for feature in manifest.features:
        missing = "no" if feature.missing is None else f"yes, as {feature.missing:g}"
        lines.append(
            f"| {feature.name} | {feature.family} | {direction[feature.monotone]} | {missing} |"
        )
    return lines


def _offer_limit(manifest: Manifest) -> list[str]:
    """What the standing offer is made of in the small-business loans."""
    if "amount_to_limit" not in manifest.feature_names:
        return []
    return [
        "- The offer's limit is played by the guaranteed part of the loan, so no training row asks "
        "for less than its limit: below 1, amount_to_limit counts as 1.",
        "- A half-and-half sample stands behind the out-of-time figure: read its ranking, not its "
        "Brier score.",
    ]


def card(manifest: Manifest) -> str:
    """Markdown for people: what it is, how good, what it must not be taken for."""
    data = manifest.training_data
    lines = [
        f"# {manifest.model_id} {manifest.version}",
        "",
        f"{manifest.algorithm}. Its outputs are the log-odds of bad by reason family; "
        "their sum is the score.",
        "",
        f"Trained on {data.rows:,} rows of {data.name}; licence: {data.licence}.",
        "",
        "## Figures",
        *_measures(manifest),
        "",
        "## Inputs",
        *_inputs(manifest),
        "",
        "## Limits",
        "- Granted loans only: nobody who was refused is in the data, and nothing is inferred "
        "about them.",
        f"- The data's bad rate is {manifest.metrics.held_out.bad_rate:.1%}; a bank's list with "
        "0.5 % is another population. The pd is not calibrated to it: recalibrate and set the "
        "cut-off on your own outcomes.",
        "- Loans of another country and other years: method and ranking carry over, levels do not.",
        "- Amounts are in hundredths of the source's currency unit, not converted to yuan.",
        *_offer_limit(manifest),
        "- No sex, age, marital status or citizenship is an input; whether groups are treated "
        "alike has not been tested.",
        "",
    ]
    return "\n".join(lines)
