"""Up to which day xAI refuses to report: older days are no longer expected."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE integrations ADD COLUMN beyond_xai_until date")
