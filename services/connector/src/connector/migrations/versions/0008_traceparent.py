"""The trace of what changed an integration, and of a command: its announcement and result carry it on."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE integrations ADD COLUMN traceparent text;
ALTER TABLE commands ADD COLUMN traceparent text;
"""


def upgrade() -> None:
    op.execute(COLUMNS)
