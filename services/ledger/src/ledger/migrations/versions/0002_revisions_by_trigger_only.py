"""Only the trigger writes revisions, with its owner's rights: the ledger's role cannot forge the history of a day."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Its search path was set with the first tables and ends with pg_temp, so temporary tables cannot misdirect it.
RIGHTS = """
ALTER FUNCTION keep_revision() SECURITY DEFINER;
REVOKE ALL ON FUNCTION keep_revision() FROM PUBLIC;
REVOKE INSERT ON day_revisions FROM ledger;
"""


def upgrade() -> None:
    op.execute(RIGHTS)
