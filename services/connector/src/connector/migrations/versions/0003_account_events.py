"""Events that an account can subscribe to: every change of status and every completed sync, in order."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE accounts ADD COLUMN last_event bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN accounts.last_event IS 'number of the newest event, taken under the row''s lock: none appears behind another';

CREATE TABLE account_events (
    account_id text NOT NULL,
    number bigint NOT NULL,
    kind text NOT NULL,
    integration_id uuid NOT NULL,
    body json NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account_id, number)
);
COMMENT ON COLUMN account_events.body IS 'word for word what a stream tells; json, for jsonb would sort its fields';
CREATE INDEX account_events_by_age ON account_events (at);

GRANT SELECT, INSERT, DELETE ON account_events TO connector;
"""


def upgrade() -> None:
    op.execute(TABLES)
