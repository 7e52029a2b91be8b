"""The end of a request for an unknown integration is a column of its own, no longer a window that does not exist."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATUS = """
ALTER TABLE requests ADD COLUMN status text NOT NULL DEFAULT 'accepted'
    CHECK (status IN ('accepted', 'not_found', 'not_found_published'));
COMMENT ON COLUMN requests.status IS
    'accepted; not_found: it ended because nobody announced its integration; not_found_published: that was published';

UPDATE requests SET window_id = NULL, status = 'not_found' WHERE window_id = '00000000-0000-0000-0000-000000000000';
UPDATE requests SET window_id = NULL, status = 'not_found_published'
    WHERE window_id = '00000000-0000-0000-0000-000000000001';

-- Also keeps a process of the former version, which stores these statuses as windows, from ending requests.
ALTER TABLE requests ADD CONSTRAINT requests_window_is_real CHECK (
    window_id > '00000000-0000-0000-0000-000000000001' AND status = 'accepted' OR window_id IS NULL);

COMMENT ON COLUMN requests.window_id IS 'null: the integration is not known yet, or (status) never became known';
DROP INDEX requests_parked;
CREATE INDEX requests_pending ON requests (received_at) WHERE window_id IS NULL AND status = 'accepted';
CREATE INDEX requests_not_found ON requests (received_at) WHERE status = 'not_found';
"""


def upgrade() -> None:
    op.execute(STATUS)
