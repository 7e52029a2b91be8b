"""What a migration changes in rows that a former version wrote."""

from collections.abc import Iterator
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
