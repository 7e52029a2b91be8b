"""Files have addresses that change with them, and one of them can be replaced."""

from pathlib import Path

from console.rendering import Renderer


def test_an_address_changes_with_the_content(tmp_path: Path) -> None:
    theme = tmp_path / "ours.css"
    theme.write_text(":root { --accent: teal }")
    own, replaced = Renderer(), Renderer(theme)
    assert own.address_of("theme.css") != replaced.address_of("theme.css")
    assert own.address_of("app.css") == replaced.address_of("app.css")
    file = replaced.file("theme.css")
    assert file is not None
    assert file.body == theme.read_bytes()


def test_what_is_no_file_of_the_console_is_not_served() -> None:
    assert Renderer().file("../rendering.py") is None
