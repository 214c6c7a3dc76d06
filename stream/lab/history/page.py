"""`docs/history.md`: what the replay shows, written from its figures."""

from __future__ import annotations

from collections.abc import Iterable

from stream.lab.history.arm import Look
from stream.lab.history.figures import Sum, Year
from stream.lab.history.loans import BAD_PER_GOOD, FIRST_APPROVAL, HORIZON_MONTHS
from stream.lab.history.run import BAD_MIN, BUDGET_TIMES, History, Other
from stream.watch.drift import POINTS
from stream.watch.guard import GuardState
from stream.watch.vintage import month_name

_MONTHS = {GuardState.NORMAL: "n", GuardState.TIGHTENED: "t", GuardState.REFER_ALL: "r"}
_WORDS = {
    GuardState.NORMAL: "the policy alone",
    GuardState.TIGHTENED: "cut-off raised",
    GuardState.REFER_ALL: "all referred",
}


def page(history: History, images: str) -> str:
    """The page in Markdown; `images` is where its pictures lie, seen from it."""
    return (
        "\n\n".join(
            [
                *_head(history),
                *_as_shipped(history),
                *_found(history, images),
                *_by_year(history.years),
                *_drift(history.years, images),
                *_method(history),
            ]
        )
        + "\n"
    )


def _head(history: History) -> Iterable[str]:
    years = history.years
    yield "# History as a test"
    yield (
        f"Made by `make history` from `sba_full`: {sum(y.asked for y in years):,} real loans of "
        f"{years[0].year} to {years[-1].year}, decided again in the order of their approval by the "
        "engine's own pipeline. Each year's model and list knew only what had happened when the "
        "year began. The same applications are decided twice, without the guard on the bad-rate "
        "budget and with it."
    )


def _found(history: History, images: str) -> Iterable[str]:
    away, every = history.turned_away, history.approved
    yield "## A guard fit for these loans: what it saved, and what it cost"
    yield _money_table(history)
    yield (
        f"The good money turned away would have had to earn {_break_even(away)} in all, over the "
        "life of the loans, to outweigh the loss avoided. Of the loans turned away "
        f"{_pct(away.bad_share)} went bad in the end, by amount {_pct(away.bad_money)}; of all "
        f"approved without a guard {_pct(every.bad_share)}, by amount {_pct(every.bad_money)}. "
        f"By amount {_aim(away, every)}"
    )
    yield (
        f"It avoided {_pct(away.lost_cents / every.lost_cents)} of what was charged off by turning "
        f"away {_pct(away.good_cents / every.good_cents)} of the good money."
    )
    yield f"![Vintages and the guard]({images}/history-guard.svg)"
    yield _changes(history.changes)
    yield (
        "A charge-off comes years after the loan was made, so the guard moves when the vintages "
        "that spend the budget have long been granted. And once all is referred nothing new is "
        "earned: the state lasts until the bad vintages leave the window, however good the "
        "applications have become by then. Who runs it should look at new vintages by hand before "
        "that, and feed it with missed payments rather than charge-offs."
    )
    yield f"![What the guard turned away]({images}/history-saved.svg)"
    yield _spread(history)


def _money_table(history: History) -> str:
    rows = [
        ("approved without a guard", history.approved),
        ("turned away by the guard", history.turned_away),
    ]
    lines = [
        "| | good loans | good money | bad loans | bad money | of it charged off |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {name} | {_cells(found)} |" for name, found in rows]
    return "\n".join(lines)


def _cells(found: Sum) -> str:
    return (
        f"{found.good_loans:,} | {_dollars(found.good_cents)} | {found.bad_loans:,} | "
        f"{_dollars(found.bad_cents)} | {_dollars(found.lost_cents)}"
    )


def _aim(away: Sum, every: Sum) -> str:
    if away.bad_money > every.bad_money * 1.1:
        return "it turned away worse loans than chance would have."
    if away.bad_money < every.bad_money * 0.9:
        return "it turned away better loans than chance would have: it closed too late."
    return "it lends less, and chooses no better than chance would."


def _as_shipped(history: History) -> Iterable[str]:
    """What the guard does with no setting changed."""
    away, every = history.shipped.turned_away, history.approved
    yield "## The guard as shipped"
    late = f"Charge-offs come late: {_pct(history.early_share)} of them within 12 months."
    budget = f"{history.shipped.budget_bps / 100:g} % of the amount, vintages of 12 months"
    fit = (
        "So what follows gives it other months and another budget, chosen before the replay was "
        "run: which guard these loans would have needed. It is no setting that is shipped."
    )
    if not history.shipped_changes:
        yield (
            f"The guard of the shipped policy, unchanged ({budget}), never moves on these "
            f"applications and turns nobody away. {late} {fit}"
        )
        return
    yield (
        f"The guard of the shipped policy, unchanged ({budget}), turns away "
        f"{_dollars(away.good_cents)} of good money and {_dollars(away.bad_cents)} of bad, of which"
        f" {_dollars(away.lost_cents)} were charged off, of {_dollars(every.lost_cents)}. "
        f"{late} {fit}"
    )
    yield _changes(history.shipped_changes)


def _changes(changes: Iterable[Look]) -> str:
    lines = ["| month | budget used | bad loans seen | from then on |", "|---|---|---|---|"]
    lines += [
        f"| {month_name(look.month)} | {look.used_pct:.0f} % | {look.bad_loans} | "
        f"{_WORDS[look.state]} |"
        for look in changes
    ]
    return "\n".join(lines)


def _spread(history: History) -> str:
    rows = [Other(1, history.guard.budget_bps, history.turned_away), *history.draws]
    lost = sorted(each.turned_away.lost_cents for each in rows)
    lines = [
        "These are the figures of the first draw of the bad loans. With the same budget, "
        f"{len(rows)} draws avoid between {_dollars(lost[0])} and {_dollars(lost[-1])} of "
        "charge-offs, so chance moves them as much as the choice of a budget does:",
        "",
        "| draw | budget | good money turned away | charge-offs avoided | must earn |",
        "|---|---|---|---|---|",
    ]
    for each in (*rows, *history.budgets):
        away = each.turned_away
        lines.append(
            f"| {each.draw} | {each.budget_bps / 100:.2f} % | {_dollars(away.good_cents)} | "
            f"{_dollars(away.lost_cents)} | {_break_even(away)} |"
        )
    return "\n".join(lines)


def _by_year(years: tuple[Year, ...]) -> Iterable[str]:
    yield "## Year by year"
    yield (
        "What older vintages teach does not carry far. The points rank the applications of a "
        f"year with an AUC of {min(y.auc for y in years):.2f} to {max(y.auc for y in years):.2f}, "
        f"on average {sum(y.auc for y in years) / len(years):.2f}, where 0.5 is chance. And the pd "
        "stays near what it was while the loans of the next years turn out several times worse: "
        "the model knows the business and the loan, not the year."
    )
    yield (
        f"Loans and what became of them are those approved without a guard. *Expected* is their "
        f"mean pd, *observed* the share charged off within {HORIZON_MONTHS} months, with its 95 % "
        "interval; *in the end* counts later ones too. *AUC* is that of the points over all that "
        "asked in the year. *Months* are those of the guard: n normal, t cut-off raised, r all "
        "referred."
    )
    lines = [
        "| year | learned (bad) | asked | listed | AUC | approved | expected | observed | "
        "bad in the end | with the guard | months |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(year) for year in years]
    yield "\n".join(lines)


def _row(year: Year) -> str:
    seen = year.observed
    months = " ".join(
        f"{year.months[state.value]}{letter}"
        for state, letter in _MONTHS.items()
        if year.months[state.value]
    )
    return (
        f"| {year.year} | {year.learned:,} ({year.learned_bad:,}) | {year.asked:,} | "
        f"{year.listed:,} | {year.auc:.2f} | {year.approved.loans:,} | {_pct(year.expected)} | "
        f"{_pct(seen.share)} ({_pct(seen.low)} to {_pct(seen.high)}) | "
        f"{_pct(year.approved.bad_share)} | "
        f"{year.approved_with_guard.loans:,} | {months} |"
    )


def _drift(years: tuple[Year, ...], images: str) -> Iterable[str]:
    """The watch's own test of each year's applications, as one window."""
    yield "## Drift"
    yield f"![PSI by year]({images}/history-drift.svg)"
    names = [name for name in years[0].drift.psi if name != POINTS]
    head = [POINTS, *names]
    lines = [
        "| year | " + " | ".join(f"`{name}`" for name in head) + " |",
        "|---|" + "---|" * len(head),
    ]
    for year in years:
        cells = [
            f"{year.drift.psi[name]:.2f}{'' if name in year.drift.alarms else ' (chance)'}"
            for name in head
        ]
        lines.append(f"| {year.year} | " + " | ".join(cells) + " |")
    yield "\n".join(lines)


def _method(history: History) -> Iterable[str]:
    guard, years = history.guard, history.years
    yield "## How it is done"
    yield "\n".join(
        f"- {line}"
        for line in (
            f"**Learning.** A loan is learned from when it is {HORIZON_MONTHS} months old, and "
            f"counts as bad if it was charged off by then: half of those that ever are. So the "
            f"model of {years[0].year} knows approvals of {FIRST_APPROVAL} to "
            f"{years[0].year - HORIZON_MONTHS // 12 - 1}. The first year is the first with "
            f"{BAD_MIN} bad loans to learn from, the last one is {years[-1].year}, as outcomes end "
            "in 2014. Amount, limit, their ratio, business age and kind of loan are the inputs; "
            "the sector is not, as before 2001 it is recorded of half the loans only.",
            "**List and cut-off.** Both are read off the loans learned from: the list leaves out "
            "the worst fifth, the machine approves what the best three fifths had. Nothing else "
            "of the shipped policy is changed but the bands, of which there is one, and the "
            "guard's budget and months.",
            "**Samples.** Half of the file was drawn by outcome, as many bad loans as good ones. "
            f"All good ones are replayed and one bad one in {1 / BAD_PER_GOOD:.1f}, drawn by its "
            "number, which gives the programme's own bad rate; learning uses all, with weights. "
            "The other half, one stretch of loan numbers, is two hundredths of the programme by "
            "weight and left out. Left out too are all loans guaranteed in full, by the rule of "
            "the shipped models: large ones are of development companies, whose losses are not "
            "recorded, small ones mostly help in the crisis of 2009 and 2010; in neither did a "
            "bank lend at its own risk. So are bad loans without a date of charge-off.",
            "**Budget.** The shipped 0.5 % cannot be kept by any useful cut-off on these loans. "
            f"Of the loans known at the start {history.known_bps / 100:.2f} % by amount were bad "
            f"within {HORIZON_MONTHS} months; the budget is {BUDGET_TIMES:g} times that, "
            f"{guard.budget_bps / 100:.2f} %, chosen before the replay was run. Vintages earn it "
            f"over {guard.mature_months} months and are looked at for {guard.window_months}: "
            f"within the shipped 12 there are {_pct(history.early_share)} of all charge-offs. The "
            "marks are the shipped ones.",
            "**Time.** An outcome reaches the watch in the month after its day. The guard looks "
            "once a month, before that month's first decision. Only charge-offs are recorded, and "
            "they come long after the first missed payment: a bank whose core system reports "
            "90 days past due sees the same sooner. How much sooner these loans do not tell.",
        )
    )
    yield "## How far it goes"
    yield "\n".join(
        f"- {line}"
        for line in (
            "All these loans were granted: whom the lenders refused is unknown, and both arms can "
            "only lend less than they did.",
            "A referral counts as turned away. In the engine a person would look at it, and might "
            "approve.",
            "The amount asked is the amount approved then, the offer's limit the share that was "
            "guaranteed, so that the money here is about half of what was lent. Charge-offs are "
            "scaled with it. Interest earned is not recorded.",
            "One pass through history has two recessions. That is no sample of recessions.",
        )
    )


def _break_even(found: Sum) -> str:
    return "-" if found.break_even is None else f"{_pct(found.break_even)}"


def _dollars(cents: int) -> str:
    return f"${cents / 1e8:,.1f} m"


def _pct(share: float) -> str:
    return f"{100 * share:.1f} %"
