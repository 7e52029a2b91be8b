"""An index of the healings that left days open: every outcome looks for them."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX syncs_open_heals ON syncs (integration_id) WHERE trigger = 'heal' AND NOT reconciled")
