"""Links that were used: each opens a session once."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE used_links (
    sha256 bytea PRIMARY KEY CHECK (length(sha256) = 32),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE used_links IS 'links that opened a session; a row can go once its link has expired';
COMMENT ON COLUMN used_links.sha256 IS 'of the text that is signed: nothing in this table opens anything';
CREATE INDEX used_links_by_expiry ON used_links (expires_at);

GRANT SELECT, INSERT, DELETE ON used_links TO console;
"""


def upgrade() -> None:
    op.execute(TABLES)
