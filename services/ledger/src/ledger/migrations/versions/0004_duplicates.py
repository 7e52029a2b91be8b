"""Integrations of a team that their account has twice: their costs are not the account's."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DUPLICATES = """
ALTER TABLE integrations ADD COLUMN duplicate boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN integrations.duplicate IS 'the account has another integration of this team, which is counted';

CREATE OR REPLACE VIEW daily_costs AS
SELECT d.account_id, d.integration_id, d.day, c.label, c.product, c.model, c.usd, d.observed_at,
    d.observed_at < (d.day + 8)::timestamp AT TIME ZONE 'UTC' AS provisional
FROM days d, jsonb_to_recordset(d.costs) AS c(label text, product text, model text, usd numeric)
WHERE NOT EXISTS (SELECT 1 FROM integrations i WHERE i.integration_id = d.integration_id AND i.duplicate);
"""


def upgrade() -> None:
    op.execute(DUPLICATES)
