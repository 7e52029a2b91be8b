"""When an integration was connected: an earlier request for all integrations does not include it."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE integrations ADD COLUMN added_at timestamptz NOT NULL DEFAULT '-infinity'")
