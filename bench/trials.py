"""Trials of a challenger simulated by the hundred: python bench/trials.py --trials 500.

Each trial is 3,000 made-up applicants: the salted draw of the engine puts them into an arm,
approvals rise and fall with the season, loans go bad after a while. Records go
through the same book and rules as `tenminute model trial`, which look after every hundred
applicants, two days. Worlds without harm say how often a trial is stopped for nothing, worlds with
a planted harm how soon it is found. The same looks are judged by textbook z-tests too.
--out FOLDER writes both plots.

--applicants 20000 makes the worlds without harm seven times as long, over a year, and
looks oftener: at draw, scores and approvals after every hundred applicants, at the bad loans
after every twentieth of them.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from matplotlib.axes import Axes
from scipy.stats import binomtest

from stream.codec.decision_v1 import decode_audit
from stream.domain.application import Segment
from stream.domain.decision import Audit, Decision, ModelInForce, Outcome, RuleHit, Standing
from stream.domain.instant import from_ms
from stream.domain.lineup import Alias, bucket
from stream.domain.outcome import OutcomeEvent, outcome_of
from stream.lab.plots import ACCENT, BAD, INK, MUTED, PERCENT, svg
from stream.trials.book import Trial, TrialBook
from stream.trials.hazard import Hazard
from stream.trials.rules import Evidence, Rule, TrialTerms, harms, p_values

_EXAMPLE = Path(__file__).parents[1] / "schemas" / "examples" / "valid"
_APPROVAL = decode_audit((_EXAMPLE / "decision.audit.approve.json").read_bytes())
AUDIT = msgspec.structs.replace(_APPROVAL, rules=(RuleHit("model", "pass", {}),))
START_MS, LOOK_MS = 1_767_225_600_000, 2 * 86_400_000
AMOUNT_MAX_FEN = 50_000_000
LOOKS, A_LOOK = 30, 100
LOOK_BAD = 20
TERMS = TrialTerms()
_replace = msgspec.structs.replace


class World(NamedTuple):
    """What the challenger does otherwise than the champion."""

    name: str
    harmless: bool
    share_bps: int = 2_000
    drawn_bps: int | None = None
    """The share that is really drawn; None for the declared one."""
    approval: float = 0.0
    bad: float = 1.0
    bad_large: float = 1.0
    """For the larger half of the loans, at the cost of the smaller half."""
    unscored: float = 0.005


WORLDS = (
    World("same model, 5 %", harmless=True, share_bps=500),
    World("same model, 20 %", harmless=True),
    World("same model, 50 %", harmless=True, share_bps=5_000),
    World("approves 5 points less, as allowed", harmless=True, approval=-0.05),
    World("bad loans 2 times as fast", harmless=False, bad=2.0),
    World("bad loans 3 times as fast", harmless=False, bad=3.0),
    World("large loans 3 times as fast", harmless=False, bad_large=3.0),
    World("approves 20 points more", harmless=False, approval=0.20),
    World("5 % of scores fail", harmless=False, unscored=0.05),
    World("drawn at 24 % for 20 %", harmless=False, drawn_bps=2_400),
)


class Run(NamedTuple):
    """What one trial came to: looks until the rules stopped it, by which, and the z-test's look."""

    stopped: int | None
    rules: tuple[str, ...]
    z_test: int | None


class Batch(NamedTuple):
    """The applicants between two looks."""

    number: int
    drawn: list[bool]
    approved: list[bool]
    unscored: list[bool]
    amounts_fen: list[int]
    bad_after: list[float]
    """Looks; beyond the last for loans that stay good."""


def batches_of(world: World, seed: int, looks: int = LOOKS) -> Iterator[Batch]:
    """The applicants of a trial."""
    chance, salt = np.random.default_rng((seed, 5)), f"trial-{seed}"
    share = world.drawn_bps or world.share_bps
    for number in range(looks):
        names = range(number * A_LOOK, (number + 1) * A_LOOK)
        drawn = np.array([bucket(salt, f"t{name}") < share for name in names])
        season = 0.55 + 0.15 * math.sin(number / 5)
        unscored = chance.random(A_LOOK) < np.where(drawn, world.unscored, 0.005)
        approved = chance.random(A_LOOK) < season + drawn * world.approval
        amounts = np.minimum(chance.lognormal(15.8, 0.7, A_LOOK), AMOUNT_MAX_FEN).astype(int)
        large = amounts > math.exp(15.8)
        tilt = np.where(large, world.bad_large, 2 - min(2.0, world.bad_large))
        hazard = np.where(drawn, world.bad * tilt, 1.0) * (0.10 + 0.05 * math.sin(number / 4)) / 20
        after = chance.exponential(1, A_LOOK) / np.maximum(hazard, 1e-9)
        yield Batch(
            number, drawn.tolist(), (approved & ~unscored).tolist(), unscored.tolist(),
            amounts.tolist(), after.tolist(),
        )  # fmt: skip


class Told:
    """Tells a book what happens between two looks."""

    def __init__(self, world: World, seed: int) -> None:
        self.book = TrialBook([Segment.CONSUMER], AMOUNT_MAX_FEN)
        models = (
            ModelInForce("champion", "1.0.0", "a" * 64),
            ModelInForce("challenger", "2.0.0", "b" * 64, world.share_bps, f"trial-{seed}"),
        )
        self._standings = [
            _replace(AUDIT.standing, arm=arm, models=models)
            for arm in (Alias.CHAMPION, Alias.CHALLENGER)
        ]
        self._due: dict[int, list[Decision]] = {}

    def hear(self, batch: Batch) -> Trial | None:
        """Decisions first, then the loans that go bad; the trial as it then stands."""
        book, start_ms = self.book, START_MS + batch.number * LOOK_MS
        for place in range(A_LOOK):
            audit = audit_of(batch, place, self._standings[batch.drawn[place]], from_ms(start_ms))
            book.hear_audit(audit)
            if batch.approved[place]:
                at_ms = start_ms + place
                book.hear_outcome(outcome_of(audit.decision, OutcomeEvent.DISBURSED, at_ms), at_ms)
                bad_at = batch.number + math.ceil(batch.bad_after[place])
                self._due.setdefault(bad_at, []).append(audit.decision)
        for place, decision in enumerate(self._due.pop(batch.number, [])):
            at_ms = start_ms + A_LOOK + place
            book.hear_outcome(outcome_of(decision, OutcomeEvent.DEFAULT, at_ms), at_ms)
        return book.newest


def run(world: World, seed: int) -> Run:
    """One trial, judged at every look; without harm it is watched to its end, for the z-tests."""
    told_, stopped, rules, z_look = Told(world, seed), None, (), None
    for batch in batches_of(world, seed):
        trial = told_.hear(batch)
        if trial is None:
            continue
        if stopped is None:
            found = harms(p_values(Evidence.of(told_.book, trial), TERMS), TERMS)
            if found:
                stopped, rules = batch.number + 1, tuple(rule.value for rule in found)
        if stopped is not None and not world.harmless:
            break
        if z_look is None and world.harmless and z_tests(told_.book, trial):
            z_look = batch.number + 1
    return Run(stopped, rules, z_look)


def run_long(world: World, looks: int, seed: int) -> dict[str, float]:
    """The least chance that each rule ever gave, over all looks of a long trial.

    What became known of bad loans does not change later, so the looks at them can all be
    made at the end, each on the loans known by then.
    """
    told_, none = Told(world, seed), Hazard([])
    least = {rule.value: 1.0 for rule in Rule}

    def note(evidence: Evidence) -> None:
        for rule, chance in p_values(evidence, TERMS).items():
            least[rule.value] = min(least[rule.value], chance)

    trial: Trial | None = None
    for batch in batches_of(world, seed, looks):
        trial = told_.hear(batch)
        if trial is not None:
            note(Evidence(trial, none, none))
    if trial is not None:
        by_count, by_amount = told_.book.bad_loans(trial)
        for end in [*range(LOOK_BAD, len(by_count), LOOK_BAD), len(by_count)]:
            note(Evidence(trial, Hazard(by_count[:end]), Hazard(by_amount[:end])))
    return least


def told_long(world: World, looks: int, found: list[dict[str, float]]) -> dict[str, Any]:
    """How many long trials were ever stopped, with an exact 95 % interval, and by which rules."""
    rules = {rule.value: sum(each[rule.value] <= TERMS.level_of(rule) for each in found)
             for rule in Rule}  # fmt: skip
    stopped = sum(any(e[r.value] <= TERMS.level_of(r) for r in Rule) for e in found)
    low, high = binomtest(stopped, len(found)).proportion_ci(0.95)
    return {
        "world": world.name,
        "applicants": looks * A_LOOK,
        "trials": len(found),
        "stopped": stopped,
        "share": stopped / len(found),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "rules": {name: count for name, count in rules.items() if count},
    }


def audit_of(batch: Batch, place: int, standing: Standing, decided_at: str) -> Audit:
    """The audit record of one applicant."""
    name = batch.number * A_LOOK + place
    decision = _replace(
        AUDIT.decision,
        decision_id=f"d_{name:032x}",
        applicant_token=f"t{name}",
        segment=Segment.CONSUMER,
        outcome=Outcome.APPROVE if batch.approved[place] else Outcome.REFER,
        approved_amount_fen=batch.amounts_fen[place],
        score_points=None if batch.unscored[place] else 600,
        decided_at=decided_at,
    )
    return _replace(AUDIT, decision=decision, standing=standing)


def z_tests(book: TrialBook, trial: Trial) -> bool:
    """Whether two-sample z-tests at 5 %, made anew on each look, find either rate worse."""
    champion, rival = (book.counts(trial, challenger=each) for each in (False, True))
    pairs = (
        (champion.approved, champion.applicants, rival.approved, rival.applicants, 2),
        (champion.bad_loans, champion.loans, rival.bad_loans, rival.loans, 1),
    )
    for k, n, rival_k, rival_n, sides in pairs:
        mean = (k + rival_k) / max(1, n + rival_n)
        if not n or not rival_n or not 0 < mean < 1:
            continue
        z = (rival_k / rival_n - k / n) / math.sqrt(mean * (1 - mean) * (1 / n + 1 / rival_n))
        if sides * math.erfc((abs(z) if sides == 2 else z) / math.sqrt(2)) / 2 <= 0.05:
            return True
    return False


def told(world: World, runs: list[Run]) -> dict[str, Any]:
    """Shares of the trials stopped, how soon, and by which rules."""
    stopped = sorted(each.stopped for each in runs if each.stopped is not None)
    rules: dict[str, int] = {}
    for each in runs:
        for rule in each.rules:
            rules[rule] = rules.get(rule, 0) + 1
    return {
        "world": world.name,
        "harmless": world.harmless,
        "trials": len(runs),
        "stopped": len(stopped),
        "applicants_median": stopped[len(stopped) // 2] * A_LOOK if stopped else None,
        "rules": rules,
        "z_test": sum(each.z_test is not None for each in runs),
        "by_look": [sum(s <= look for s in stopped) / len(runs) for look in range(1, LOOKS + 1)],
        "z_by_look": [
            sum(r.z_test is not None and r.z_test <= look for r in runs) / len(runs)
            for look in range(1, LOOKS + 1)
        ],
    }


def draw(folder: Path, found: list[dict[str, Any]]) -> None:
    """Share of the trials stopped by so many applicants: without harm, and with it."""
    applicants = [A_LOOK * look for look in range(LOOKS + 1)]
    colours = (ACCENT, "#4d8c57", "#8a6d1f", MUTED, BAD, "#6b4a8c")

    def axis(axes: Axes, title: str) -> None:
        axes.set(xlabel="applicants of both arms so far", ylabel="trials stopped")
        axes.set_xlim(0, applicants[-1])
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter(PERCENT)
        axes.set_title(title, loc="left", color=INK)
        axes.legend(fontsize=9)

    def harmless(axes: Axes) -> None:
        worlds = [each for each in found if each["harmless"]]
        for each, colour in zip(worlds, colours, strict=False):
            line = {"color": colour, "linewidth": 2, "clip_on": False}
            axes.plot(applicants, [0, *each["by_look"]], label=each["world"], **line)
            axes.plot(applicants, [0, *each["z_by_look"]], color=colour, linestyle=":")
        axes.axhline(TERMS.level, color=INK, linewidth=1, linestyle="--", label="the level, 5 %")
        axis(axes, "No harm: the rules (lines), and two z-tests on every look (dots)")

    def harmful(axes: Axes) -> None:
        worlds = [each for each in found if not each["harmless"]]
        for each, colour in zip(worlds, colours, strict=False):
            axes.plot(applicants, [0, *each["by_look"]], color=colour, label=each["world"])
        axis(axes, "Planted harm: how soon a trial is stopped")

    for name, drawing in (("null", harmless), ("harm", harmful)):
        (folder / f"trials-{name}.svg").write_text(svg((7.6, 4.2), drawing))


def long(looks: int, trials: int, workers: int, only: str) -> None:
    """Run the worlds without harm for so many looks."""
    with ProcessPoolExecutor(workers) as pool:
        for world in WORLDS:
            if world.harmless and only in world.name:
                found = pool.map(partial(run_long, world, looks), range(trials), chunksize=5)
                print(json.dumps(told_long(world, looks, list(found))), flush=True)


def main() -> None:
    """Run every world and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", help="worlds whose name holds this")
    parser.add_argument("--out", type=Path, help="folder for the plots")
    parser.add_argument("--applicants", type=int, help="of a long trial, worlds without harm")
    given = parser.parse_args()
    found = []
    if given.applicants:
        long(given.applicants // A_LOOK, given.trials, given.workers, given.only or "")
        return
    with ProcessPoolExecutor(given.workers) as pool:
        for world in WORLDS:
            if given.only and given.only not in world.name:
                continue
            runs = list(pool.map(partial(run, world), range(given.trials), chunksize=10))
            found.append(told(world, runs))
            print(json.dumps({k: v for k, v in found[-1].items() if "by_look" not in k}))
    if given.out:
        draw(given.out, found)


if __name__ == "__main__":
    main()
