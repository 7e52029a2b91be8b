"""A browser is opened where a person would see it."""

import sys

import pytest
from grafient.local.demo import has_desktop


@pytest.mark.parametrize(
    ("platform", "display", "is_opened"),
    [("linux", "", False), ("linux", ":0", True), ("darwin", "", True)],
)
def test_a_browser_is_opened_where_there_is_a_desktop(
    platform: str,
    display: str,
    is_opened: bool,  # noqa: FBT001 - pytest calls it by name
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)

    assert has_desktop() is is_opened
