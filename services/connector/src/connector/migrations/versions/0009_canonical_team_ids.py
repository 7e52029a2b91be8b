"""Team IDs in one form, and an account has a team once: lower case with dashes, instead of the text that was entered.

What is there already never stops it: of two integrations of a team the later one is marked and left out of the index.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

FUNCTION = """
CREATE FUNCTION canonical_team_id(team_id text) RETURNS text LANGUAGE sql IMMUTABLE RETURN
    CASE WHEN replace(team_id, '-', '') ~* '^[0-9a-f]{32}$' THEN CAST(CAST(replace(team_id, '-', '') AS uuid) AS text)
        ELSE team_id END;
"""

# Accounts before integrations, as every change locks them. The gap in the numbers makes open screens start over.
SCREENS = """
UPDATE accounts SET last_event = last_event + 1
WHERE account_id IN (SELECT account_id FROM integrations WHERE team_id <> canonical_team_id(team_id));
"""

ROWS = """
DROP INDEX integrations_once;
ALTER TABLE integrations ADD COLUMN duplicate_of uuid;
COMMENT ON COLUMN integrations.duplicate_of IS 'the other integration of the same team, which is read and counted';

UPDATE integrations i SET duplicate_of = oldest, status = 'error', status_code = 'already_connected',
    status_since = clock_timestamp(), changed_at = clock_timestamp(), version = version + 1
FROM (
    SELECT integration_id, first_value(integration_id) OVER (
        PARTITION BY account_id, canonical_team_id(team_id) ORDER BY added_at, integration_id) AS oldest
    FROM integrations WHERE removed_at IS NULL
) team
WHERE i.integration_id = team.integration_id AND oldest <> i.integration_id;

UPDATE integrations SET team_id = canonical_team_id(team_id), changed_at = clock_timestamp(), version = version + 1
WHERE duplicate_of IS NULL AND team_id <> canonical_team_id(team_id);
"""

INDEX = """
CREATE UNIQUE INDEX integrations_once ON integrations (account_id, canonical_team_id(team_id))
    WHERE removed_at IS NULL AND duplicate_of IS NULL;
"""


def upgrade() -> None:
    for statements in (FUNCTION, SCREENS, ROWS, INDEX):
        op.execute(statements)
