"""An index of the days that may have to be read again: those that are not confirmed by a settled reading."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE INDEX coverage_open ON coverage (integration_id, day)
        WHERE confirmed_at IS NULL OR unreconciled_at > confirmed_at
            OR confirmed_at < (day + 8)::timestamp AT TIME ZONE 'UTC'
    """)
