"""Figures, days and instants for the eye, in the customs of a reader's language; sentences stay English. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from babel import Locale
from babel.dates import format_date, format_skeleton
from babel.numbers import format_currency, format_percent

OFFERED: Final = (
    *(
        "en_US",
        "en_GB",
        "en_AU",
        "en_CA",
        "en_IN",
        "de_DE",
        "de_AT",
        "de_CH",
        "fr_FR",
        "fr_CA",
        "es_ES",
        "es_MX",
        "it_IT",
    ),
    *(
        "pt_BR",
        "pt_PT",
        "nl_NL",
        "sv_SE",
        "da_DK",
        "nb_NO",
        "fi_FI",
        "pl_PL",
        "cs_CZ",
        "tr_TR",
        "uk_UA",
        "ja_JP",
        "ko_KR",
    ),
    *("zh_CN", "zh_TW"),
)
"""A fixed list: the data of a locale stays in memory once it is loaded, and a request must not choose how much."""
FIRST: Final = {locale.partition("_")[0]: locale for locale in reversed(OFFERED)}
"""The region that is meant by a language alone."""
NOTHING: Final = "–"
CENT: Final = Decimal("0.01")
LONGEST_HEADER: Final = 200


@dataclass(frozen=True, slots=True)
class Formats:
    """How one reader sees figures. `None` is shown as a dash, never as a zero."""

    locale: str
    """One of `OFFERED`."""

    def money(self, usd: Decimal | None) -> str:
        """To the cent, where half a cent is rounded to even; an amount below a cent is shown as that."""
        return NOTHING if usd is None else _money(self.locale, usd)

    def exact(self, usd: Decimal | None) -> str:
        """Every digit, as the ledger has it and a program reads it; for `title` and copies."""
        return NOTHING if usd is None else f"{usd:f} USD"

    def tick(self, usd: Decimal) -> str:
        """A step of an axis: without the cents where they are zero."""
        places = max(0, -int(usd.normalize().as_tuple().exponent))
        return _currency(self.locale, usd, 0 if places == 0 else max(2, places))

    def share(self, ratio: Decimal | None) -> str:
        return NOTHING if ratio is None else format_percent(ratio, "0.0%", locale=self.locale)

    def change(self, ratio: Decimal | None) -> str:
        """With its sign, also where it is a plus."""
        return NOTHING if ratio is None else format_percent(ratio, "+#,##0.0%;−#,##0.0%", locale=self.locale)

    def day(self, day: date | None) -> str:
        """Weekday, day, month and year."""
        return NOTHING if day is None else _date("yMMMEd", day, self.locale)

    def short_day(self, day: date) -> str:
        return _date("MMMd", day, self.locale)

    def weekday(self, day: date) -> str:
        """Its name, shortened."""
        return format_date(day, "EEE", locale=self.locale)

    def month(self, day: date) -> str:
        return _date("MMM", day, self.locale)

    def instant(self, instant: datetime | None) -> str:
        """To the minute, in UTC, as days are."""
        if instant is None:
            return NOTHING
        at = instant.astimezone(UTC)
        return f"{_date('yMMMd', at.date(), self.locale)}, {at:%H:%M} UTC"


def negotiated(accept_language: str | None) -> Formats:
    """The offered locale that a browser's header prefers; the United States' where it names none that is offered."""
    wanted = sorted(_wanted((accept_language or "")[:LONGEST_HEADER]), reverse=True)
    return Formats(next((found for _, _, name in wanted if (found := _offered(name))), OFFERED[0]))


def _wanted(header: str) -> list[tuple[float, int, str]]:
    """Weight, place counted backwards, name: the largest is preferred."""
    parts = [part.partition(";") for part in header.split(",")]
    return [(_weight(weight), -place, name.strip()) for place, (name, _, weight) in enumerate(parts) if name.strip()]


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    digits = value.strip().replace(".", "", 1)
    return float(value) if name == "q" and digits.isdigit() and digits.isascii() else float(not text.strip())


def _offered(name: str) -> str | None:
    language, *rest = name.replace("_", "-").split("-")
    exact = f"{language.lower()}_{rest[-1].upper()}" if rest else ""
    return exact if exact in OFFERED else FIRST.get(language.lower())


@lru_cache(4096)
def _money(locale: str, usd: Decimal) -> str:
    if 0 < usd < CENT:
        return f"< {_currency(locale, CENT, 2)}"
    if -CENT < usd < 0:
        return f"> {_currency(locale, -CENT, 2)}"
    return _currency(locale, usd, 2)


def _currency(locale: str, usd: Decimal, places: int) -> str:
    pattern = Locale.parse(locale).currency_formats["standard"].pattern
    digits = "0." + "0" * places if places else "0"
    text = format_currency(usd, "USD", pattern.replace("0.00", digits), locale=locale, currency_digits=False)
    return text.replace("-", "−").replace("US$", "$").replace("$US", "$")


@lru_cache(2048)
def _date(skeleton: str, day: date, locale: str) -> str:
    return format_skeleton(skeleton, day, locale=locale)
