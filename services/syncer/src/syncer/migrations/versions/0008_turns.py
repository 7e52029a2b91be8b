"""Windows of as urgent requests are read in turns: the first one of each account, then the second ones.

A process of the former version opens its windows with turn 0: they come first, as they always did.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TURNS = """
ALTER TABLE windows ADD COLUMN turn integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN windows.turn IS
    'windows of the account that were waiting when it was opened, as urgent, and with as new days or newer ones';
CREATE INDEX windows_turns ON windows ((decision IS NULL), urgency, turn, last_day DESC, due_at) WHERE closed_at IS NULL;
DROP INDEX windows_queue;
CREATE INDEX integrations_of_account ON integrations (account_id);
"""


def upgrade() -> None:
    op.execute(TURNS)
