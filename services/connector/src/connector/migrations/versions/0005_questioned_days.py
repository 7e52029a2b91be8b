"""Days of which xAI reported less than before: the card and the history of syncs name them."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

QUESTIONED = """
ALTER TABLE syncs ADD COLUMN questioned_days date[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN syncs.covered IS 'the days that the ledger confirmed, and the questioned ones: their former costs remain';
CREATE INDEX syncs_questioned ON syncs (integration_id) WHERE questioned_days <> '{}';
"""


def upgrade() -> None:
    op.execute(QUESTIONED)
