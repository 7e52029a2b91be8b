"""When an outcome was stored, and the hashes of the answers that it is about; what readings left out is found quickly."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# The default comes after the column: of outcomes that are older than this migration the instant is unknown.
LIFE = """
ALTER TABLE outcomes ADD COLUMN stored_at timestamptz, ADD COLUMN answers jsonb;
ALTER TABLE outcomes ALTER COLUMN stored_at SET DEFAULT now();
COMMENT ON COLUMN outcomes.stored_at IS 'when the first outcome of the window was stored; null: before this was recorded';
COMMENT ON COLUMN outcomes.answers IS 'first_day, last_day and sha256 of each answer of xAI; null: not recorded';
CREATE INDEX outcomes_with_gaps ON outcomes (integration_id) WHERE unreconciled_days <> '{}';
"""


def upgrade() -> None:
    op.execute(LIFE)
