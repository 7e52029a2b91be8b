"""Commands received by topic: each runs once, and its row keeps the result until it is published."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE commands (
    account_id text NOT NULL,
    command_id text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    type text,
    body jsonb,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease uuid,
    lease_owner text,
    lease_until timestamptz,
    failures smallint NOT NULL DEFAULT 0,
    integration_id uuid,
    code text,
    detail text,
    done_at timestamptz,
    published_at timestamptz,
    PRIMARY KEY (account_id, command_id),
    CHECK ((body IS NULL) = (done_at IS NOT NULL))
);
COMMENT ON COLUMN commands.number IS 'order of first arrival: an account''s commands take effect one after another';
COMMENT ON COLUMN commands.type IS 'null where only the IDs could be read';
COMMENT ON COLUMN commands.body IS 'what is asked for, its key sealed; forgotten when it is done';
COMMENT ON COLUMN commands.failures IS 'for unknown reasons; what is away does not count';
COMMENT ON COLUMN commands.code IS 'why it was rejected; null where it succeeded';
CREATE INDEX commands_to_do ON commands (number) WHERE done_at IS NULL;
CREATE INDEX commands_of_account ON commands (account_id, number) WHERE done_at IS NULL;
CREATE INDEX commands_in_hand ON commands (account_id) WHERE lease IS NOT NULL;
CREATE INDEX commands_to_tell ON commands (number) WHERE done_at IS NOT NULL AND published_at IS NULL;
CREATE INDEX commands_by_age ON commands (received_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON commands TO connector;
"""


def upgrade() -> None:
    op.execute(TABLES)
