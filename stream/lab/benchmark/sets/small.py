"""HMEQ and German credit: too small or too odd to prove much, good for finding faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.lab.benchmark.recipe import Bench, Input
from stream.lab.known import Barred

if TYPE_CHECKING:
    from pandas import DataFrame


def _hmeq(table: DataFrame) -> DataFrame:
    value = table["VALUE"].clip(lower=1.0)
    return table.assign(
        loan_to_value=table["LOAN"] / value,
        debt_to_value=(table["LOAN"] + table["MORTDUE"]) / value,
    )


HMEQ = Bench(
    name="hmeq",
    title="HMEQ",
    file="hmeq/hmeq.csv.gz",
    adapt=_hmeq,
    inputs=(
        Input("LOAN", "M_AMOUNT_TERM", why="small loans go to the pressed"),
        Input("REASON", "M_AMOUNT_TERM", why="a kind", levels=("DebtCon", "HomeImp")),
        Input("loan_to_value", "M_COLLATERAL", why="small loans too", of=("LOAN", "VALUE")),
        Input("debt_to_value", "M_COLLATERAL", 1, "less cover", of=("LOAN", "MORTDUE", "VALUE")),
        Input("MORTDUE", "M_COLLATERAL", why="wealth and debt at once"),
        Input("VALUE", "M_COLLATERAL", why="wealth and debt at once"),
        Input("DEBTINC", "M_AFFORDABILITY", 1, "a heavier load on the income"),
        Input("YOJ", "M_EMPLOYMENT", -1, "longer in one job"),
        Input(
            "JOB",
            "M_EMPLOYMENT",
            why="a kind",
            levels=("Other", "ProfExe", "Office", "Mgr", "Self", "Sales"),
        ),
        Input("DEROG", "M_DELINQUENCY", 1, "reports against the person"),
        Input("DELINQ", "M_DELINQUENCY", 1, "accounts in arrears"),
        Input("NINQ", "M_INQUIRIES", 1, "more credit sought"),
        Input("CLAGE", "M_CREDIT_DEPTH", -1, "a longer record"),
        Input("CLNO", "M_CREDIT_DEPTH", why="few and many are both riskier"),
    ),
    barred=(Barred(("row",), "the number of the row"),),
    families={
        "M_AMOUNT_TERM": "Amount and purpose asked for",
        "M_COLLATERAL": "Value of the home",
        "M_AFFORDABILITY": "Income for the debt carried",
        "M_EMPLOYMENT": "Work",
        "M_DELINQUENCY": "Payment history with others",
        "M_INQUIRIES": "Recent inquiries",
        "M_CREDIT_DEPTH": "Age and number of accounts",
    },
    answered={
        "absence:DEBTINC": "known at the application; its absence is the strongest sign in this "
        "set, so a model must use it and a reason must say it: data incomplete",
    },
    note="Far above what any bank sees: many rows are near copies of each other, which a model "
    "without constraints can tell apart and remember.",
)

_CHECKING = {
    "... < 0 DM": 0,
    "0 <= ... < 200 DM": 1,
    "... >= 200 DM / salary assignments for at least 1 year": 2,
}
_SAVINGS = {
    "... < 100 DM": 0,
    "100 <= ... < 500 DM": 1,
    "500 <= ... < 1000 DM": 2,
    "... >= 1000 DM": 3,
}
_EMPLOYED = {
    "unemployed": 0,
    "... < 1 year": 1,
    "1 <= ... < 4 years": 2,
    "4 <= ... < 7 years": 3,
    "... >= 7 years": 4,
}


def _german(table: DataFrame) -> DataFrame:
    return table.assign(
        checking=table["status_of_existing_checking_account"].map(_CHECKING),
        savings=table["savings_account_and_bonds"].map(_SAVINGS),
        employed=table["present_employment_since"].map(_EMPLOYED),
        has_telephone=table["telephone"] != "none",
        rate=table["installment_rate_in_percentage_of_disposable_income"],
    )


GERMAN = Bench(
    name="german",
    title="German credit",
    file="german/german.csv.gz",
    adapt=_german,
    inputs=(
        Input("credit_amount", "M_AMOUNT_TERM", why="small and large both fail"),
        Input("duration_in_month", "M_AMOUNT_TERM", 1, "longer to go wrong"),
        Input(
            "purpose",
            "M_AMOUNT_TERM",
            why="a kind",
            levels=("radio/television", "car (new)", "furniture/equipment", "business",
                    "car (used)", "education", "repairs"),
        ),
        Input(
            "rate",
            "M_AFFORDABILITY",
            1,
            "a heavier load on the income",
            of=("installment_rate_in_percentage_of_disposable_income",),
        ),
        Input(
            "checking",
            "M_ACCOUNTS",
            -1,
            "more on the account",
            of=("status_of_existing_checking_account",),
        ),
        Input("savings", "M_ACCOUNTS", -1, "more saved", of=("savings_account_and_bonds",)),
        Input(
            "employed", "M_EMPLOYMENT", -1, "longer in one job", of=("present_employment_since",)
        ),
        Input(
            "job",
            "M_EMPLOYMENT",
            why="a kind",
            levels=("skilled employee / official", "unskilled - resident",
                    "management/ self-employed/ highly qualified employee/ officer"),
        ),
        Input("has_telephone", "M_EMPLOYMENT", why="a kind", of=("telephone",)),
        Input(
            "credit_history",
            "M_DELINQUENCY",
            why="its levels are no scale: the critical ones paid best",
            levels=("existing credits paid back duly till now",
                    "critical account/ other credits existing (not at this bank)",
                    "delay in paying off in the past",
                    "all credits at this bank paid back duly",
                    "no credits taken/ all credits paid back duly"),
        ),
        Input("number_of_existing_credits_at_this_bank", "M_DELINQUENCY", why="trust and load"),
        Input(
            "other_installment_plans", "M_DELINQUENCY", why="a kind",
            levels=("none", "bank", "stores"),
        ),
        Input(
            "other_debtors_or_guarantors",
            "M_COLLATERAL",
            why="a kind",
            levels=("none", "guarantor", "co-applicant"),
        ),
        Input(
            "property",
            "M_COLLATERAL",
            why="a kind",
            levels=("real estate", "building society savings agreement/ life insurance",
                    "car or other, not in attribute Savings account/bonds",
                    "unknown / no property"),
        ),
        Input("housing", "M_COLLATERAL", why="a kind", levels=("own", "rent", "for free")),
    ),
    barred=(
        Barred(
            ("personal_status_and_sex", "age_in_years", "foreign_worker",
             "number_of_people_being_liable_to_provide_maintenance_for"),
            "protected",
            protected=True,
        ),
        Barred(("present_residence_since",), "goes with age"),
        Barred(("row",), "the number of the row"),
    ),
    families={
        "M_AMOUNT_TERM": "Amount, term and purpose asked for",
        "M_AFFORDABILITY": "Instalment for the income",
        "M_ACCOUNTS": "Money on accounts",
        "M_EMPLOYMENT": "Work",
        "M_DELINQUENCY": "Other loans and how they were paid",
        "M_COLLATERAL": "Property and guarantors",
    },
    answered={
        "absence:checking": "known at the application: no account is a fact, not a gap, and the "
        "best sign in this set",
    },
    age="age_in_years",
    accepted="age is no input and nobody is decided by this model; of the bands that are judged "
    "the young are approved least and repaid least. 800 rows prove little",
)  # fmt: skip
