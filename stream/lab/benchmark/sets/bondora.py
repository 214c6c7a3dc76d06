"""Bondora: European peer-to-peer applications, without the platform's own rating and price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stream.lab.benchmark.recipe import Bench, Input, Published, Reference, TimeSplit
from stream.lab.known import Barred, KnownAt

if TYPE_CHECKING:
    from pandas import DataFrame

EDUCATION = {"basic": 0, "vocational": 1, "secondary": 2, "higher": 3}
JOB_YEARS = {"trial": 0, "1y": 1, "2y": 2, "3y": 3, "4y": 4, "5y": 5}
EXPERIENCE = {"02y": 2, "05y": 5, "10y": 10, "15y": 15, "25y": 25, "25p": 30}
HOMES = ("homeless", "livingw.parents", "owner", "joint.ownership", "encumbrance", "joint.tenant",
         "tenant.pfp", "council.house", "mortgage")  # fmt: skip
USES = ("home_improvement", "other", "consolidation", "vehicle", "business", "travel", "health",
        "real_estate", "education")  # fmt: skip
JOBS = ("fully_employed", "entrepreneur", "self_employed", "partially_employed")
AREAS = ("Other", "Retail.wholesale", "Processing", "Construction", "Transport.warehousing",
         "Education", "Hospitality.catering", "Civil.service.military", "Info.telecom",
         "Healthcare.social.help", "Agriculture.for.fish", "Finance.insurance")  # fmt: skip


def _adapt(table: DataFrame) -> DataFrame:
    # The money columns are log(1 + euro); a ratio needs the euro.
    amount, income = np.expm1(table["log_amount"]), np.expm1(table["inc_total"])
    liabilities = np.expm1(table["liab_l"])
    return table.assign(
        amount=amount,
        term=table["duration_months"],
        income=income,
        amount_to_income=amount / income.clip(lower=1.0),
        liabilities=liabilities,
        liabilities_to_income=liabilities / income.clip(lower=1.0),
        # Zero stands for "not asked" in the newer loans: a debtor without any income pays nothing.
        debt_to_income=table["DebtToIncome"].mask(table["DebtToIncome"] == 0),
        free_cash=np.expm1(table["FreeCash_l"]).mask(table["FreeCash_l"] == 0),
        salary=np.expm1(table["inc_princ_empl_l"]).mask(table["inc_princ_empl_l"] == 0),
        liability_count=table["n_liabilities"],
        refinanced_count=table["n_refinanced"],
        is_new_customer=table["new"],
        earlier_loans=table["NoOfPreviousLoansBeforeLoan"],
        earlier_amount=table["AmountOfPreviousLoansBeforeLoan"],
        earlier_bucket=table["n_prev_loans_bucket"],
        repaid_early=table["previous_repay_l"],
        repaid_early_count=table["n_prev_early_repay_bucket"],
        education_level=table["education"].map(EDUCATION),
        job_years=table["employment_duration"].map(JOB_YEARS),
        experience_years=table["experience"].map(EXPERIENCE),
    )


_LOAD = "a heavier load on the income"
_ASKED = "a kind, and whether it was asked at all"
BONDORA = Bench(
    name="bondora",
    title="Bondora",
    file="bondora/bondora.csv.gz",
    adapt=_adapt,
    inputs=(
        Input("amount", "M_AMOUNT_TERM", why="larger loans are checked harder", of=("log_amount",)),
        Input("term", "M_AMOUNT_TERM", 1, "longer to go wrong", of=("duration_months",)),
        Input("use_of_loan", "M_AMOUNT_TERM", why=_ASKED, levels=USES),
        Input("income", "M_OBLIGATIONS", why="self-declared", of=("inc_total",)),
        Input(
            "amount_to_income", "M_OBLIGATIONS", 1, _LOAD, of=("log_amount", "inc_total")
        ),
        Input("liabilities", "M_OBLIGATIONS", why="debt and trust at once", of=("liab_l",)),
        Input(
            "liabilities_to_income",
            "M_OBLIGATIONS",
            why="debt and trust at once",
            of=("liab_l", "inc_total"),
        ),
        Input("debt_to_income", "M_OBLIGATIONS", 1, _LOAD, of=("DebtToIncome",)),
        Input("free_cash", "M_OBLIGATIONS", why="self-declared", of=("FreeCash_l",)),
        Input("salary", "M_OBLIGATIONS", why="self-declared", of=("inc_princ_empl_l",)),
        Input(
            "liability_count", "M_OBLIGATIONS", 1, "more lenders to pay", of=("n_liabilities",)
        ),
        Input(
            "refinanced_count", "M_OBLIGATIONS", why="relief and trouble", of=("n_refinanced",)
        ),
        Input("is_new_customer", "M_OBLIGATIONS", why="a kind", of=("new",)),
        Input(
            "earlier_loans",
            "M_OBLIGATIONS",
            why="regulars and jugglers both have many",
            of=("NoOfPreviousLoansBeforeLoan",),
        ),
        Input(
            "earlier_amount",
            "M_OBLIGATIONS",
            why="regulars and jugglers both have much",
            of=("AmountOfPreviousLoansBeforeLoan",),
        ),
        Input(
            "earlier_bucket",
            "M_OBLIGATIONS",
            why="regulars and jugglers both have many",
            of=("n_prev_loans_bucket",),
        ),
        Input(
            "repaid_early", "M_OBLIGATIONS", why="paid from other loans", of=("previous_repay_l",)
        ),
        Input(
            "repaid_early_count",
            "M_OBLIGATIONS",
            why="paid from other loans",
            of=("n_prev_early_repay_bucket",),
        ),
        Input("education_level", "M_EMPLOYMENT", -1, "steadier work", of=("education",)),
        Input("job_years", "M_EMPLOYMENT", -1, "longer in one job", of=("employment_duration",)),
        Input("experience_years", "M_EMPLOYMENT", -1, "longer at work", of=("experience",)),
        Input("employment", "M_EMPLOYMENT", why=_ASKED, levels=JOBS),
        Input("occupation_area", "M_EMPLOYMENT", why=_ASKED, levels=AREAS),
        Input("home_ownership", "M_HOME", why="a kind", levels=HOMES),
    ),
    barred=(
        Barred(("Age", "Gender", "marital", "dependants"), "protected", protected=True),
        Barred(
            ("inc_pension_l", "inc_fam_all_l", "inc_soc_wel_l", "inc_leave_l", "inc_child_l",
             "inc_other_l", "inc_support"),
            "kinds of income that stand for age, family or need",
        ),
        Barred(("rating", "Interest", "MonthlyPayment"), "the platform's verdict and price",
               KnownAt.SCREENING),
        Barred(("verification",), "the platform chose whom to check", KnownAt.SCREENING),
        Barred(("hour", "weekday"), "no reason anybody could be given"),
        Barred(("row", "time"), "its number, and how long it has been watched"),
    ),
    # Income, loans elsewhere and loans here only make sense together: apart they cost most.
    families={
        "M_AMOUNT_TERM": "Amount, term and purpose asked for",
        "M_OBLIGATIONS": "Income for the debt carried, here and elsewhere",
        "M_EMPLOYMENT": "Work and education",
        "M_HOME": "Housing",
    },
    coarser={
        "amount and term with obligations": {"M_AMOUNT_TERM": "M_OBLIGATIONS"},
        "amount and term, obligations and housing as one": {
            "M_AMOUNT_TERM": "M_OBLIGATIONS",
            "M_HOME": "M_OBLIGATIONS",
        },
    },
    time=TimeSplit(
        "time",
        3.918,
        "the first seven tenths of the days, and the rest",
        "later loans are watched for a shorter time and look better",
    ),
    published=(
        Published(
            0.756,
            "random forest without network measures",
            "notebook 3 of YitingLiu1998/P2P-Model-Bondora-BFH",
            "balanced 24,000 rows; price and rating may be among its inputs; our reading",
        ),
    ),
    reference=Reference(0.778, 0.414, "application only"),
    age="Age",
    accepted="age is no input and nobody is decided by this model; a bank that used such a one "
    "would have to measure it on its own applicants and look for one that does less of it",
)  # fmt: skip
