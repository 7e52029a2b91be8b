"""Builds reports from what the store knows. Pure: no I/O, no clock, no framework."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypedDict

from ledger.figures import DayFigure, change, change_of, daily_average, days_in, known, ratio
from ledger.reports.schemas import Breakdown, BreakdownRow, Comparison, ModelSum, Summary
from ledger.store.sums import Question, Row


class _Shared(TypedDict):
    currency: Literal["USD"]
    from_: date
    to: date
    missing_days: list[date]
    previous: Comparison


def summary(
    question: Question, figures: Mapping[date, DayFigure], models: Sequence[Row], data_as_of: datetime | None
) -> Summary:
    """The four cards, and how far to trust them."""
    days = days_in(question.span, figures)
    finished = days_in(question.finished, figures)
    return Summary(
        **_shared(question, figures),
        usd=known(days),
        daily_average_usd=daily_average(finished),
        covered_days=sum(one.covered for one in finished),
        top_model=ModelSum(model=models[0].key or "", usd=models[0].usd) if models else None,
        data_as_of=data_as_of,
        provisional_from=next((one.day for one in days if one.provisional), None),
    )


def breakdown(
    question: Question, figures: Mapping[date, DayFigure], rows: Sequence[Row], by: str, *, daily: bool
) -> Breakdown:
    """One row for each of what the costs are broken down by."""
    shared = _shared(question, figures)
    usd = known(days_in(question.span, figures))
    comparable = shared["previous"].change is not None
    return Breakdown(
        **shared,
        usd=usd,
        rows=[
            BreakdownRow.model_validate(
                {
                    by: row.key,
                    **({"model": row.model} if by == "label" else {}),
                    "usd": row.usd,
                    "share": ratio(row.usd, usd) if usd else None,
                    "days": row.days,
                    "change": change_of(row.finished, row.before) if comparable else None,
                }
                | ({"daily": [row.daily.get(day, Decimal(0)) for day in question.span]} if daily else {})
            )
            for row in rows
        ],
    )


def _shared(question: Question, figures: Mapping[date, DayFigure]) -> _Shared:
    before = days_in(question.before, figures)
    compared = change(days_in(question.finished, figures), before)
    return {
        "currency": "USD",  # set, because the route leaves out what is not
        "from_": question.span.first,
        "to": question.span.last,
        "missing_days": [one.day for one in days_in(question.span, figures) if not one.covered],
        "previous": Comparison(
            from_=question.before.first,
            to=question.before.last,
            usd=known(before),
            change=compared.share,
            why=compared.why,
        ),
    }
