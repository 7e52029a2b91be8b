"""A broker that cannot be used is reported in a sentence that names the cause and the setting."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from common.kafka.client import check_topics
from common.kafka.diagnostics import BrokerRefusedError
from common.settings import KafkaSettings, StartRefusedError, load
from contract.topics import COSTS
from grafient.local.securing import write_certificates

NEEDED = "is not set, and SASL_SSL needs it"


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncIterator[str]:
    """A server that sends nothing; `host:port`."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def certified(folder: Path, *, since: datetime | None = None) -> ssl.SSLContext:
    write_certificates(folder, since=since, valid=timedelta(hours=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker.pem")
    return context


async def diagnosis(server: str, ca_file: Path) -> str:
    settings = KafkaSettings(kafka_bootstrap_servers=server, kafka_security_protocol="SSL", kafka_ca_file=ca_file)
    with pytest.raises(BrokerRefusedError) as refused:
        await check_topics(settings, (COSTS,))
    return str(refused.value).replace(server, "HERE")


async def test_a_certificate_that_has_expired_is_to_be_renewed(tmp_path: Path) -> None:
    context = certified(tmp_path, since=datetime.now(UTC) - timedelta(days=2))
    async with listening(context) as server:
        assert await diagnosis(server, tmp_path / "ca.pem") == (
            "the certificate of the broker HERE is not trusted (certificate has expired): renew it"
        )


async def test_a_certificate_of_another_authority_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write_certificates(tmp_path / "other")
    async with listening(certified(tmp_path)) as server:
        assert "KAFKA_CA_FILE must name the authority that signs it" in await diagnosis(
            server, tmp_path / "other" / "ca.pem"
        )


async def test_a_port_without_tls_names_the_setting(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    async with listening(None) as server:
        assert await diagnosis(server, tmp_path / "ca.pem") == (
            "the broker HERE does not use TLS on this port: check KAFKA_SECURITY_PROTOCOL and the port"
        )


async def test_a_file_that_is_no_certificate_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("obviously not")
    settings = KafkaSettings(
        kafka_bootstrap_servers="127.0.0.1:9", kafka_security_protocol="SSL", kafka_ca_file=tmp_path / "ca.pem"
    )
    with pytest.raises(StartRefusedError, match="holds no certificate in PEM"):
        await check_topics(settings, (COSTS,))


@pytest.mark.parametrize(
    ("given", "sentences"),
    [
        ({}, [f"KAFKA_USERNAME: Value error, {NEEDED}", f"KAFKA_PASSWORD: Value error, {NEEDED}"]),
        ({"KAFKA_USERNAME": "ledger"}, [f"KAFKA_PASSWORD: Value error, {NEEDED}"]),
        (
            {"KAFKA_USERNAME": "a", "KAFKA_PASSWORD": "b", "KAFKA_CA_FILE": "/none"},
            ["KAFKA_CA_FILE: Value error, there is no such file"],
        ),
    ],
)
def test_a_setting_that_signing_in_needs_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: dict[str, str], sentences: list[str]
) -> None:
    needed = {"KAFKA_BOOTSTRAP_SERVERS": "a:1", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    for name, value in (needed | given).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as refused:
        load(KafkaSettings)
    assert refused.value.code == 78
    assert [line.split("; ")[0] for line in capsys.readouterr().err.splitlines()] == [
        f"setting {one}" for one in sentences
    ]
