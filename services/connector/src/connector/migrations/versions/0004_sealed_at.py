"""When each key was sealed or wrapped again: the time of its announcement, independent of other changes of the row."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE integrations ADD COLUMN sealed_at timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN integrations.sealed_at IS 'when the key was sealed, or wrapped anew';
COMMENT ON COLUMN integrations.announced_at IS 'when state and key were last announced together';

DROP INDEX integrations_to_announce;
CREATE INDEX integrations_to_announce ON integrations (changed_at) WHERE version > announced_version;
CREATE INDEX integrations_key_to_announce ON integrations (sealed_at)
    WHERE (credential_version, wrap_version) > (announced_credential_version, announced_wrap_version);
"""


def upgrade() -> None:
    op.execute(COLUMNS)
