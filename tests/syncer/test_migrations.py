"""What a migration changes in rows that a former version wrote."""

import json
import zlib
from collections.abc import Iterator
from datetime import date
from functools import partial

import pytest
from alembic import command
from common.migrations import migrate
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import IntegrityError

SCHEMA = "syncer_former"
REQUEST = """
    INSERT INTO requests (integration_id, request_id, trigger, first_day, last_day, received_at, window_id)
    VALUES (gen_random_uuid(), :id, 'force', '2026-11-01', '2026-11-01', now(), CAST(:window AS uuid))
"""
PLACED = "00000000-0000-4000-8000-000000000000"
NOT_FOUND, PUBLISHED = (f"00000000-0000-0000-0000-00000000000{number}" for number in (0, 1))


@pytest.fixture
def former(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """Tables as of 0002."""
    with monkeypatch.context() as patch:
        upgrade = command.upgrade
        patch.setattr(command, "upgrade", lambda config, _head: upgrade(config, "0002"))
        migrate(SecretStr(postgres), "syncer", schema=SCHEMA)
    engine = create_engine(postgres, connect_args={"options": f"-c search_path={SCHEMA}"}, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
        connection.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    engine.dispose()


def test_ended_requests_keep_their_end_as_a_status(former: Connection, postgres: str) -> None:
    insert = partial(former.execute, text(REQUEST))
    for request_id, window in (("placed", PLACED), ("pending", None), ("ended", NOT_FOUND), ("published", PUBLISHED)):
        insert({"id": request_id, "window": window})

    migrate(SecretStr(postgres), "syncer", schema=SCHEMA)

    rows = former.execute(text("SELECT request_id, CAST(window_id AS text), status FROM requests ORDER BY request_id"))
    assert [tuple(row) for row in rows] == [
        ("ended", None, "not_found"),
        ("pending", None, "accepted"),
        ("placed", PLACED, "accepted"),
        ("published", None, "not_found_published"),
    ]
    with pytest.raises(IntegrityError):
        insert({"id": "of the former version", "window": NOT_FOUND})


ANSWER = """
    INSERT INTO raw_answers (reading_id, part, integration_id, first_day, last_day, observed_at, sha256, body)
    VALUES (gen_random_uuid(), 0, :id, '2026-11-01', '2026-11-03', :at, '', :body)
"""


def _answer(usd: str, **fields: object) -> bytes:
    point = {"timestamp": "2026-11-01T00:00:00Z", "values": [float(usd)]}
    series = [{"groupLabels": [label], "dataPoints": [point]} for label in ("Chat grok-4-0709", "API grok-4-0709")]
    return zlib.compress(json.dumps({"timeSeries": series} | fields).encode())


def test_what_is_known_of_a_day_is_that_of_its_newest_published_answer(former: Connection, postgres: str) -> None:
    integration_id = PLACED
    former.execute(
        text("""INSERT INTO integrations
            (integration_id, account_id, team_id, plan, removed, version, credential_version, history_from)
            VALUES (:id, 'account', 'team', 'pro', false, 1, 1, '2026-11-01')"""),
        {"id": integration_id},
    )
    answers = [("2026-11-10", _answer("1")), ("2026-11-11", _answer("2.5")), ("2026-11-12", zlib.compress(b"no JSON"))]
    for at, body in answers:
        former.execute(text(ANSWER), {"id": integration_id, "at": at, "body": body})
    for day, at in (("2026-11-01", "2026-11-11"), ("2026-11-02", "2026-11-11"), ("2026-11-03", "2026-11-12")):
        former.execute(
            text("INSERT INTO coverage (integration_id, day, published_at) VALUES (:id, :day, :at)"),
            {"id": integration_id, "day": day, "at": at},
        )

    migrate(SecretStr(postgres), "syncer", schema=SCHEMA)

    rows = former.execute(text("SELECT day, ticks FROM known_days ORDER BY day"))
    assert [tuple(row) for row in rows] == [
        (date(2026, 11, 1), {"grok-4-0709": 50_000_000_000}),
        (date(2026, 11, 2), {}),
    ]
