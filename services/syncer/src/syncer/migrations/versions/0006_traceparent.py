"""The trace of a request, and of the first request of a window: whatever is published of it carries it on."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE requests ADD COLUMN traceparent text;
ALTER TABLE windows ADD COLUMN traceparent text;
"""


def upgrade() -> None:
    op.execute(COLUMNS)
