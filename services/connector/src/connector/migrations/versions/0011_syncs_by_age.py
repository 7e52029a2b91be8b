"""An index of the age of syncs: expired ones are looked for every hour. They are stored in the order of their age."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX syncs_by_age ON syncs USING brin (recorded_at) WITH (autosummarize = on)")
