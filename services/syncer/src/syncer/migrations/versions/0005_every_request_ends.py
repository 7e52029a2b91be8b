"""Every request ends; first refusals, sweeps, days that xAI refuses, and why a call failed."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHANGES = """
ALTER TABLE requests DROP CONSTRAINT requests_status_check, ADD CONSTRAINT requests_status_check CHECK (status IN (
    'accepted', 'not_found', 'expired', 'request_malformed',
    'not_found_published', 'expired_published', 'request_malformed_published'));
ALTER TABLE requests ADD COLUMN ended_at timestamptz;
COMMENT ON COLUMN requests.status IS 'accepted; or the code with which it ended without a window, and whether that was published';
COMMENT ON COLUMN requests.ended_at IS 'instant of an end without a window; null: received_at';
DROP INDEX requests_not_found;
CREATE INDEX requests_ended ON requests (received_at) WHERE status IN ('not_found', 'expired', 'request_malformed');

ALTER TABLE integrations ADD COLUMN refused_once_at timestamptz, ADD COLUMN sweep_at timestamptz,
    ADD COLUMN beyond_xai_until date;
COMMENT ON COLUMN integrations.refused_once_at IS 'xAI refused a key that it had accepted; a second time counts';
COMMENT ON COLUMN integrations.sweep_at IS 'when all readable days are next read again; null: no date yet';
COMMENT ON COLUMN integrations.beyond_xai_until IS 'last day that xAI refuses to report; newer days it reports';

ALTER TABLE windows ADD COLUMN cause text;
COMMENT ON COLUMN windows.cause IS 'of the last failed attempt: the kind of failure and the address';
"""


def upgrade() -> None:
    op.execute(CHANGES)
