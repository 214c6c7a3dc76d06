"""Give Me Some Credit: a bureau file and an income; the past-due counts hold two codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.lab.benchmark.recipe import Bench, Input, Published, Reference
from stream.lab.known import Barred

if TYPE_CHECKING:
    from pandas import DataFrame

D30, D60, D90 = (
    "NumberOfTime30-59DaysPastDueNotWorse",
    "NumberOfTime60-89DaysPastDueNotWorse",
    "NumberOfTimes90DaysLate",
)
CODES = (96, 98)
"""Not counts: the same code stands in all three columns of a row."""


def _adapt(table: DataFrame) -> DataFrame:
    counts = {name: table[name].mask(table[name].isin(CODES)) for name in (D30, D60, D90)}
    income = table["MonthlyIncome"]
    # Where the income is unknown the "ratio" is the monthly debt itself, as it is with none.
    has_income = income > 1
    debt = table["DebtRatio"] * income.where(has_income, 1.0)
    lines = table["NumberOfOpenCreditLinesAndLoans"]
    late = sum(counts.values())
    return table.assign(
        utilisation=table["RevolvingUtilizationOfUnsecuredLines"],
        late_30=counts[D30],
        late_60=counts[D60],
        late_90=counts[D90],
        late_all=late,
        late_coded=table[D30].isin(CODES),
        income=income,
        debt=debt,
        debt_to_income=table["DebtRatio"].where(has_income),
        left_over=(income - debt).clip(lower=0).where(has_income),
        lines=lines,
        mortgages=table["NumberRealEstateLoansOrLines"],
        other_lines=(lines - table["NumberRealEstateLoansOrLines"]).clip(lower=0),
    )


_LATE = "each late payment on file is a step towards the next"
GMSC = Bench(
    name="gmsc",
    title="Give Me Some Credit",
    file="gmsc/gmsc.csv.gz",
    adapt=_adapt,
    inputs=(
        Input(
            "utilisation",
            "M_UTILISATION",
            why="rises up to the limit; far above it stand amounts, not shares",
            of=("RevolvingUtilizationOfUnsecuredLines",),
        ),
        Input("late_30", "M_DELINQUENCY", 1, _LATE, of=(D30,)),
        Input("late_60", "M_DELINQUENCY", 1, _LATE, of=(D60,)),
        Input("late_90", "M_DELINQUENCY", 1, _LATE, of=(D90,)),
        Input("late_all", "M_DELINQUENCY", 1, _LATE, of=(D30, D60, D90)),
        Input("late_coded", "M_DELINQUENCY", why="a code", of=(D30, D60, D90)),
        Input("income", "M_AFFORDABILITY", -1, "more to pay from", of=("MonthlyIncome",)),
        Input(
            "debt",
            "M_AFFORDABILITY",
            why="a mortgage is debt and a sign of trust",
            of=("DebtRatio", "MonthlyIncome"),
        ),
        Input(
            "debt_to_income",
            "M_AFFORDABILITY",
            1,
            "less is left of each unit earned",
            of=("DebtRatio", "MonthlyIncome"),
        ),
        Input(
            "left_over",
            "M_AFFORDABILITY",
            -1,
            "more is left each month",
            of=("DebtRatio", "MonthlyIncome"),
        ),
        Input(
            "lines",
            "M_CREDIT_DEPTH",
            why="few and many are both riskier",
            of=("NumberOfOpenCreditLinesAndLoans",),
        ),
        Input(
            "mortgages",
            "M_CREDIT_DEPTH",
            why="few and many are both riskier",
            of=("NumberRealEstateLoansOrLines",),
        ),
        Input(
            "other_lines",
            "M_CREDIT_DEPTH",
            why="few and many are both riskier",
            of=("NumberOfOpenCreditLinesAndLoans", "NumberRealEstateLoansOrLines"),
        ),
    ),
    barred=(
        Barred(("age",), "age is protected", protected=True),
        Barred(("NumberOfDependents",), "family status is protected", protected=True),
        Barred(("row",), "the number of the row"),
    ),
    families={
        "M_UTILISATION": "Use of existing credit lines",
        "M_DELINQUENCY": "Payment history with others",
        "M_AFFORDABILITY": "Income for the debt carried",
        "M_CREDIT_DEPTH": "Kinds and number of accounts",
    },
    published=(
        Published(
            0.869558,
            "winner of the competition",
            "README of maandrews/Credit-Risk-Predictive-Model",
            "Kaggle's private rows, a stack of models, age among the inputs",
        ),
        Published(
            0.86652,
            "one XGBoost",
            "README of Simplon-IA-Bdx-1/give-me-some-credit-idhem27",
            "Kaggle's private rows, age among the inputs",
        ),
        Published(
            0.86132,
            "not named, about rank 511 of 924",
            "README of ddanieltan/kaggle-give-me-some-credit",
            "Kaggle's private rows, inputs unknown",
        ),
        Published(
            0.7797,
            "random forest",
            "README of Simplon-IA-Bdx-1/give-me-some-credit-idhem27",
            "Kaggle's private rows, age among the inputs",
        ),
    ),
    reference=Reference(0.862, 0.565),
    age="age",
    accepted="age is no input and nobody is decided by this model. The pd follows what happened "
    "in each band, and still flatters the young; a bank that used such a model would have to "
    "measure it on its own applicants and look for one that does less of it",
)
