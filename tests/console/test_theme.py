"""The theme: colours that differ for any eye, text that can be read, and little to load."""

import gzip
import math
import re
from itertools import combinations, pairwise
from pathlib import Path

import console
import pytest

STATIC = Path(console.__file__).parent / "static"
Colour = tuple[float, float, float]

VISION = {
    "full": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "without red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "without green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "without blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
"""Machado, Oliveira and Fernandes 2009, in linear RGB."""


def theme(name: str) -> dict[str, Colour]:
    """The custom properties of the light or the dark theme, in linear RGB."""
    found = re.findall(r"--([\w-]+): light-dark\(#(\w{6}), #(\w{6})\)", (STATIC / "theme.css").read_text())
    return {one: linear(light if name == "light" else dark) for one, light, dark in found}


def linear(code: str) -> Colour:
    red, green, blue = (int(code[place : place + 2], 16) / 255 for place in (0, 2, 4))
    return _linear(red), _linear(green), _linear(blue)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def seen(colour: Colour, vision: str) -> Colour:
    red, green, blue = (max(0.0, sum(a * b for a, b in zip(row, colour, strict=True))) for row in VISION[vision])
    return red, green, blue


def oklab(colour: Colour) -> Colour:
    red, green, blue = colour
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    middle = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def distance(one: Colour, other: Colour, vision: str) -> float:
    """In OKLab, of 100; 2 is what a trained eye can see side by side."""
    pairs = zip(oklab(seen(one, vision)), oklab(seen(other, vision)), strict=True)
    return 100 * math.sqrt(sum((a - b) ** 2 for a, b in pairs))


def contrast(one: Colour, other: Colour) -> float:
    """As WCAG counts it: 1 to 21."""
    light, dark = sorted((0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_any_two_colours_of_a_chart_differ_for_every_kind_of_vision(name: str, vision: str) -> None:
    palette = [theme(name)[f"c{place}"] for place in range(8)]

    assert min(distance(one, other, vision) for one, other in combinations(palette, 2)) > 10
    assert min(distance(one, other, vision) for one, other in pairwise(palette)) > 15


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_can_be_read_on_every_ground(name: str) -> None:
    colours = theme(name)
    inks, grounds = ("ink", "ink-soft", "accent", "good", "warn", "bad"), ("ground", "surface", "raised", "quiet")

    low = {(ink, ground): contrast(colours[ink], colours[ground]) for ink in inks for ground in grounds}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast(colours["border"], colours["surface"]) >= 3


def test_script_and_style_together_are_small() -> None:
    files = [path.read_bytes() for path in STATIC.iterdir() if path.suffix in {".css", ".js"}]

    assert sum(map(len, files)) <= 50_000
    assert len(gzip.compress(b"".join(files))) <= 20_000
