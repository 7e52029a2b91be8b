"""When the result of a command that was sent again is to be published once more."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMN = """
ALTER TABLE commands ADD COLUMN repeat_at timestamptz;
COMMENT ON COLUMN commands.repeat_at IS 'when the result is to be published once more: the command was sent again';
CREATE INDEX commands_to_repeat ON commands (repeat_at) WHERE repeat_at IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(COLUMN)
