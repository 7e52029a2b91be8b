"""Figures for the eye: rounded, in the reader's customs, and never a zero where something is."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from console.formats import OFFERED, Formats, negotiated
from hypothesis import given
from hypothesis import strategies as st

ENGLISH = Formats("en_US")
AMOUNTS = st.decimals(-1_000_000, 1_000_000, places=10)


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        ("1234.565", "$1,234.56"),
        ("0", "$0.00"),
        ("0.0000000001", "< $0.01"),
        ("-0.004", "> −$0.01"),
        ("-4.5", "−$4.50"),
        ("0.01", "$0.01"),
        (None, "–"),
    ],
)
def test_money_is_shown_to_the_cent_and_what_is_unknown_as_a_dash(usd: str | None, shown: str) -> None:
    assert ENGLISH.money(None if usd is None else Decimal(usd)) == shown


@given(AMOUNTS)
def test_only_a_zero_is_shown_as_a_zero(usd: Decimal) -> None:
    assert (ENGLISH.money(usd) == "$0.00") == (usd == 0)


@given(AMOUNTS)
def test_the_exact_value_has_every_digit(usd: Decimal) -> None:
    assert Decimal(ENGLISH.exact(usd).removesuffix(" USD")) == usd
    assert "E" not in ENGLISH.exact(usd)


def test_an_unknown_exact_value_is_a_dash() -> None:
    assert ENGLISH.exact(None) == "–"


@pytest.mark.parametrize(
    ("usd", "shown"), [("2500", "$2,500"), ("2.5", "$2.50"), ("0.002", "$0.002"), ("5E+2", "$500")]
)
def test_a_step_of_an_axis_has_the_digits_that_it_needs(usd: str, shown: str) -> None:
    assert ENGLISH.tick(Decimal(usd)) == shown


def test_shares_and_changes_are_percent_and_a_change_has_its_sign() -> None:
    assert ENGLISH.share(Decimal("0.1234")) == "12.3%"
    assert [ENGLISH.change(Decimal(one)) for one in ("0.25", "-0.1", "0")] == ["+25.0%", "−10.0%", "+0.0%"]
    assert (ENGLISH.share(None), ENGLISH.change(None)) == ("–", "–")


def test_days_and_instants_follow_the_reader_and_stay_in_utc() -> None:
    german, day = Formats("de_DE"), date(2026, 11, 3)
    late = datetime(2026, 11, 3, 23, 30, tzinfo=timezone(timedelta(hours=-5)))

    assert (ENGLISH.day(day), ENGLISH.short_day(day), ENGLISH.weekday(day)) == ("Tue, Nov 3, 2026", "Nov 3", "Tue")
    assert (german.day(day), german.month(day)) == ("Di., 3. Nov. 2026", "Nov")
    assert ENGLISH.instant(late) == "Nov 4, 2026, 04:30 UTC"
    assert german.money(Decimal("1234.5")) == "1.234,50\xa0$"
    assert ENGLISH.instant(None) == ENGLISH.day(None) == "–"
    assert ENGLISH.instant(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)) == "Jan 2, 2026, 03:04 UTC"


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        (None, "en_US"),
        ("de", "de_DE"),
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr_FR"),
        ("ja;q=0.1, de-CH;q=0.9", "de_CH"),
        ("xx-YY, zz", "en_US"),
        ("*", "en_US"),
        ("q=;;,,;q=en", "en_US"),
    ],
)
def test_the_locale_is_the_offered_one_that_the_browser_prefers(header: str | None, locale: str) -> None:
    assert negotiated(header).locale == locale


@given(st.text(max_size=300))
def test_no_header_can_name_a_locale_that_is_not_offered(header: str) -> None:
    assert negotiated(header).locale in OFFERED
