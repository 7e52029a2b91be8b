"""One call of a team at a time, and its rate, in the whole fleet.

A process of the former version counts the calls of its own only, as it always did; the rows are made for it, too.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TEAMS = """
CREATE TABLE teams (
    team_id text PRIMARY KEY,
    lease uuid,
    lease_until timestamptz,
    full_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
COMMENT ON TABLE teams IS 'who calls xAI about a team; locked after the row of an integration, always in this order';
COMMENT ON COLUMN teams.lease IS 'the lease of an integration; at most one window of a team is read at a time';
COMMENT ON COLUMN teams.full_at IS 'when its bucket of calls is full again: each call takes it an interval further';

CREATE FUNCTION add_team() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO teams (team_id) VALUES (new.team_id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER integration_has_a_team AFTER INSERT OR UPDATE OF team_id ON integrations
    FOR EACH ROW EXECUTE FUNCTION add_team();

INSERT INTO teams (team_id) SELECT DISTINCT team_id FROM integrations;

GRANT SELECT, INSERT, UPDATE, DELETE ON teams TO syncer;
"""


def upgrade() -> None:
    op.execute(TEAMS)
