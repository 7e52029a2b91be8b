import pytest
from grafient import main
from typer import Exit


def test_without_the_embedded_stack_up_and_demo_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "find_spec", lambda _name: None)

    for command in main.on_this_machine():
        with pytest.raises(Exit):
            command()

    assert capsys.readouterr().err.count("grafient[local]") == 2
