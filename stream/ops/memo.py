"""A decision as a credit memo: what was decided, why, by which rules, on which facts.

Everything is read from the audit record and nothing is worked out again, so the
memo of a decision reads the same years later.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from stream.audit.nearest import NearestYes
from stream.domain.decision import Audit, Outcome, RuleHit
from stream.domain.reasons import C1_OTHER
from stream.ops.memo_score import score_part
from stream.ops.memo_words import (
    NOT_KNOWN,
    bare,
    in_unit,
    instant,
    lasting,
    money,
    percent,
    since,
    value_of,
    words,
)
from stream.ops.tail_rows import short
from stream.policy.trail import whole_trail
from stream.scoring.features import MISSING

WIDTH_MAX = 100
MARKS = {
    "pass": ("✓", "green"),
    "limit": ("→", "yellow"),
    "refer": ("✗", "red"),
    "skip": ("–", "dim"),
}


def memo(audit: Audit) -> RenderableType:
    """The whole memo; made for 80 to 100 columns."""
    parts: list[RenderableType] = [_headline(audit), _facts(audit)]
    parts += _section(_reasons_title(audit), _reasons(audit))
    parts += _section("Score", score_part(audit))
    parts += _section("Rules, in the order applied", _rules(whole_trail(audit.rules)))
    parts += _section("What was known", _sources(audit))
    if audit.features:
        parts += _section("Features", _features(audit.features))
    parts += _section("Versions and origin", _origin(audit))
    return Group(*parts)


def nearest_part(audit: Audit, found: NearestYes | None, lacking: str = "") -> RenderableType:
    """The section on the nearest yes; `lacking` names what decided and was not at hand."""
    decision = audit.decision
    if decision.outcome is Outcome.APPROVE and not decision.counter_offer:
        text = Text("approved as asked: nothing to change", style="dim")
    elif found is None:
        text = Text("none: no smaller amount and no other term would be approved", style="dim")
    else:
        asked, term = decision.requested_amount_fen, decision.term_months
        text = Text.assemble(
            (f"{money(found.amount_fen)} yuan over {found.term_months} months", "bold green"),
            (f"  (asked: {money(asked)} yuan over {term} months)", "dim"),
        )
    if lacking:
        text.append(f"\n{lacking}: looked for under what is in force instead", style="yellow")
    return Group(*_section("Nearest yes, decided again on the same facts", text))


def _section(title: str, body: RenderableType) -> list[RenderableType]:
    head = Rule(Text(title, style="bold"), align="left", style="dim")
    return [Text(), head, Padding(body, (0, 0, 0, 1))]


def _headline(audit: Audit) -> RenderableType:
    decision = audit.decision
    asked = f"{money(decision.requested_amount_fen)} yuan"
    text = Text()
    if decision.outcome is Outcome.APPROVE:
        text.append(" APPROVED ", style="bold white on green")
        text.append(f"  {money(decision.approved_amount_fen)} yuan", style="bold")
        text.append(f" of {asked} asked")
        terms = [f"{decision.term_months} months"]
        if decision.apr_bps is not None:
            terms.append(f"{percent(decision.apr_bps)} a year, {words(decision.price_tier or '')}")
        if decision.counter_offer:
            terms.insert(0, "counter-offer")
        if decision.offer_expires_at:
            terms.append(f"offer stands until {instant(decision.offer_expires_at)}")
        text.append("\n " + " · ".join(terms))
        return text
    text.append(" REFERRED ", style="bold black on yellow")
    if decision.referral is not None:
        text.append(f"  to queue {decision.referral.queue}", style="bold")
        text.append(f", {asked} asked")
        may = "may" if decision.referral.overridable else "may NOT"
        due = instant(decision.referral.due_at)
        text.append(f"\n due {due} · a reviewer {may} override · since {decision.referral.trigger}")
    return text


def _pairs(rows: Iterable[tuple[str, str, str, str]]) -> Table:
    """Two columns of labelled facts."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, width=11)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(style="dim", no_wrap=True, width=9)
    table.add_column(ratio=1, overflow="fold")
    table.expand = True
    for row in rows:
        table.add_row(*row)
    return table


def _facts(audit: Audit) -> RenderableType:
    decision, app = audit.decision, audit.application
    before, after = money(decision.exposure_before_fen), money(decision.exposure_after_fen)
    took = since(decision.submitted_at, decision.decided_at)
    in_time = "in time" if decision.deadline_met else "after the deadline"
    applicant = short(decision.applicant_token) + (" (synthetic)" if decision.synthetic else "")
    product = words(decision.product_code) + (f" for {words(app.loan_purpose)}" if app else "")
    facts = _pairs(
        [
            ("Application", decision.application_id, "Applicant", applicant),
            ("Channel", words(decision.channel), "Segment", decision.segment.value),
            ("Product", product, "Exposure", f"{before} → {after} yuan"),
            (
                "Submitted",
                instant(decision.submitted_at),
                "Decided",
                f"{lasting(took)} later, {in_time}",
            ),
        ]
    )
    return Padding(facts, (1, 0, 0, 1))


def _reasons_title(audit: Audit) -> str:
    if audit.decision.outcome is Outcome.REFER:
        return "Why a person decides"
    return "Why less than asked" if audit.decision.counter_offer else "Reasons"


def _reasons(audit: Audit) -> RenderableType:
    if not audit.decision.reasons:
        return Text("none: approved as asked", style="dim")
    table = Table.grid(padding=(0, 2))
    for style in ("bold", "", "", "dim", "dim"):
        table.add_column(style=style, overflow="fold")
    for reason in audit.decision.reasons:
        c1 = f"Form C-1 no. {reason.form_c1}" + (" (other)" if reason.form_c1 == C1_OTHER else "")
        table.add_row(str(reason.rank), reason.text_en, reason.text_zh, c1, reason.code)
    return table


def _rules(rules: Iterable[RuleHit]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for hit in rules:
        mark, style = MARKS.get(hit.result, ("?", ""))
        seen = [value_of(name, value) for name, value in hit.values.items()]
        table.add_row(Text(mark, style=style), words(hit.rule), " · ".join(seen))
    legend = "✓ pass   → limits the amount   ✗ refers   – not needed   (amounts in yuan)"
    return Group(table, Text(legend, style="dim"))


def _sources(audit: Audit) -> RenderableType:
    """Offer and bureau report, and how old each was when it was used."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, width=11)
    table.add_column(overflow="fold")
    entry, bureau, at = audit.whitelist_entry, audit.bureau, audit.decision.decided_at
    if entry is None:
        table.add_row("Offer", "none")
    else:
        spans = f"{instant(entry.valid_from)} to {instant(entry.valid_to)}"
        text = f"{entry.offer_id}, limit {money(entry.limit_fen)} yuan, {entry.conclusion.value}"
        table.add_row("Offer", f"{text}\nvalid {spans}, grade {entry.risk_grade}")
    if bureau is None:
        table.add_row("Bureau", "no report")
    else:
        age = lasting(since(bureau.as_of, at))
        table.add_row("Bureau", f"{words(bureau.status)}, as of {instant(bureau.as_of)}, {age} old")
    table.add_row("Store", f"{audit.standing.store_age_ms / 1000:.1f} s behind its topics at most")
    return table


def _features(features: dict[str, float]) -> RenderableType:
    """Names and values as the model saw them, two to a line."""
    table = Table.grid(padding=(0, 2))
    for style in ("dim", "", "dim", ""):
        table.add_column(style=style, justify="left" if style else "right", min_width=12)
    cells = [part for name, value in features.items() for part in _feature(name, value)]
    for start in range(0, len(cells), 4):
        table.add_row(*cells[start : start + 4])
    return table


def _feature(name: str, value: float) -> tuple[str, str]:
    return bare(name), NOT_KNOWN if value == MISSING else in_unit(name, value)


def _origin(audit: Audit) -> RenderableType:
    decision = audit.decision
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, width=11)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    if decision.model is not None:
        model = f"{decision.model.model_id} {decision.model.version}"
        table.add_row("Model", model, decision.model.sha256)
    table.add_row("Policy", decision.policy.policy_id, decision.policy.sha256)
    table.add_row("Application", "its content", decision.application_sha256)
    if decision.list_version is not None:
        table.add_row("List", f"version {decision.list_version}")
    place = f"partition {audit.source_partition}, offset {audit.source_offset}"
    table.add_row("Origin", "loan.applications", place)
    table.add_row("Decision", f"engine {audit.engine_version}", decision.decision_id)
    return table
