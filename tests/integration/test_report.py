"""The report as a browser shows it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from stream.demo.reconcile import Reconciliation
from stream.demo.report import write_report
from stream.demo.report_data import ReportData, RunFacts, gather
from stream.domain.application import Channel, Segment
from stream.domain.decision import Decision, ModelUsed, Outcome, PolicyUsed, ReasonGiven
from stream.domain.instant import from_ms
from stream.loop.funnel import Counts

CODES = ("W_NOT_LISTED", "A_AFFORDABILITY", "B_INQUIRIES", "M_UTILISATION", "E_EXPOSURE")
FACTS = RunFacts(
    "2026-11-24T08:00:00Z", "Apache Kafka", 61.5, {"farmer": 560, "merchant": 575, "consumer": 590}
)
CLOSING = Reconciliation(
    received=2100, decided=2000, decisions_doubled=0,
    dead_letters={"conflict": 40, "invalid": 20, "unreadable": 5}, duplicates=35, approved=900,
    paid=900, paid_doubled=0, paid_unapproved=0, decisions_committed=2000,
    decisions_uncommitted=2044,
)  # fmt: skip
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def made_up_decision(number: int, dice: random.Random) -> Decision:
    segment = dice.choice(list(Segment))
    points = int(dice.gauss(585, 45))
    approved = points >= FACTS.cut_off_points[segment.value] and dice.random() < 0.9
    code = dice.choice(CODES)
    reasons = (ReasonGiven(1, code, code[0], "text", "text", 24),)
    if approved and dice.random() < 0.7:
        reasons = ()
    waited_ms = int(dice.lognormvariate(3, 0.9)) + 2
    return Decision(
        decision_id=f"d_{number}", application_id=f"application-{number}",
        applicant_token=f"a1_{number:032x}", channel=dice.choice(list(Channel)), segment=segment,
        product_code="line", outcome=Outcome.APPROVE if approved else Outcome.REFER,
        requested_amount_fen=100, approved_amount_fen=100, counter_offer=False, term_months=12,
        price_tier=None, apr_bps=None, offer_id=None, offer_expires_at=None, reasons=reasons,
        referral=None, score_points=points, pd=0.1, band=None,
        model=ModelUsed(f"{segment.value}-scorecard", "2026.11.1", "ab" * 32),
        policy=PolicyUsed("standard-2026-11", "cd" * 32), list_version=1, exposure_before_fen=0,
        exposure_after_fen=0, application_sha256="0", submitted_at=from_ms(0),
        decided_at=from_ms(waited_ms), deadline_met=True, synthetic=segment != Segment.CONSUMER,
            consent_signed_at=from_ms(0), consent_expires_at=from_ms(waited_ms),
    )  # fmt: skip


def made_up_data() -> ReportData:
    dice = random.Random(7)
    decisions = [made_up_decision(number, dice) for number in range(2000)]
    funnel = {("h5", "farmer"): Counts(2035, 2000, 900, 900, 896)}
    return gather([*decisions, decisions[0]], funnel, CLOSING, FACTS)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    write_report(made_up_data(), file)
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None and not os.environ.get("CI"):
        pytest.skip("no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


def test_a_decision_read_twice_counts_once() -> None:
    """The report counts decision ids, not records."""
    assert made_up_data().decided == 2000


def test_nothing_is_loaded_from_elsewhere(report: Path) -> None:
    """The file stands alone: no reference to another host or file."""
    text = report.read_text()
    assert "src=" not in text
    assert 'href="http' not in text
    assert "@import" not in text


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_plot_is_drawn_and_nothing_overflows(
    browser: Browser, report: Path, scheme: str, width: int
) -> None:
    """On a phone and a desk, light and dark: four plots, no error, no sideways scroll."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(report.as_uri())
    sizes = [plot.bounding_box() for plot in page.locator("section > svg").all()]
    scrolled = page.evaluate("document.documentElement.scrollWidth")
    if shots := os.environ.get("TENMINUTE_SHOTS"):
        page.screenshot(path=f"{shots}/{scheme}-{width}.png", full_page=True)
    page.close()
    assert faults == []
    assert len(sizes) == 4
    assert all(size and size["width"] > 250 and size["height"] > 100 for size in sizes)
    assert scrolled <= width
