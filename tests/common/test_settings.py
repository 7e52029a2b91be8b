"""A wrong or missing setting stops the start with a sentence that names it, never its value."""

from pathlib import Path

import pytest
from common.settings import EXIT_BAD_SETTINGS, Contact, ServiceSettings, Settings, load, problems_of
from contract.topics import COSTS, CREDENTIALS, INTEGRATIONS

FAKE = "obviously-fake-value"
GOOD = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "DATABASE_URL": "postgresql+psycopg://ledger@127.0.0.1:5432/grafient",
    "PORT": "8003",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The good settings, and an empty folder of secrets."""
    for name in ServiceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_good_settings_are_loaded_and_secrets_do_not_show(environment: Path) -> None:
    (environment / "KAFKA_PASSWORD").write_text(f"{FAKE}\n")
    settings = load(ServiceSettings)
    assert (settings.port, settings.kafka_password.get_secret_value()) == (8003, FAKE)
    assert FAKE not in repr(settings)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(ServiceSettings)
    assert ended.value.code == EXIT_BAD_SETTINGS == 78
    assert f"setting {name}: is not set" in capsys.readouterr().err


WRONG = (
    *("DATABASE_URL", "PORT", "LOG_LEVEL", "KAFKA_SECURITY_PROTOCOL"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"),
)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv(name, FAKE)
    with pytest.raises(SystemExit) as ended:
        load(ServiceSettings)
    printed = capsys.readouterr().err
    assert ended.value.code == EXIT_BAD_SETTINGS
    assert f"setting {name}: " in printed
    assert FAKE not in printed


class _WithContact(Settings):
    contact: Contact = ""


@pytest.mark.parametrize("spoilt", ["\n", "\r\nX-Header: a", "(", ")", "\N{BULLET}", "x" * 200])
def test_a_contact_is_safe_in_a_header(monkeypatch: pytest.MonkeyPatch, spoilt: str) -> None:
    for contact in ("ops@example.com", "https://example.com/contact"):
        monkeypatch.setenv("CONTACT", contact)
        assert problems_of(_WithContact) == []
        monkeypatch.setenv("CONTACT", contact + spoilt)
        assert len(problems_of(_WithContact)) == 1


def test_partition_counts_are_read_by_topic_and_the_others_are_the_declared_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOPIC_PARTITIONS", f"{COSTS.name}=30, {CREDENTIALS.name}=12,")
    settings = load(ServiceSettings)

    assert [settings.partitions_of(topic) for topic in (COSTS, CREDENTIALS, INTEGRATIONS)] == [30, 12, 6]


@pytest.mark.parametrize(
    "counts", ["xai.costs.v1", "xai.costs.v1=many", "xai.costs.v1=0", "xai.costs.v1=1001", "xai.other.v1=6", "30"]
)
def test_other_partition_counts_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], counts: str
) -> None:
    monkeypatch.setenv("TOPIC_PARTITIONS", counts)
    with pytest.raises(SystemExit):
        load(ServiceSettings)
    assert "setting TOPIC_PARTITIONS" in capsys.readouterr().err
