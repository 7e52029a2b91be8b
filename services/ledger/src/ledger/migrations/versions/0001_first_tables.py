"""Days and their revisions, outcomes, the read model of the integrations, the erased integrations."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE integrations (
    integration_id uuid PRIMARY KEY,
    account_id text NOT NULL,
    team_id text NOT NULL,
    label text NOT NULL,
    plan text NOT NULL,
    status text NOT NULL,
    version bigint NOT NULL,
    history text,
    history_from date NOT NULL,
    added_at timestamptz NOT NULL,
    removed_at timestamptz
);
CREATE INDEX integrations_of_account ON integrations (account_id);

CREATE TABLE days (
    integration_id uuid NOT NULL,
    day date NOT NULL,
    account_id text NOT NULL,
    usd numeric NOT NULL,
    costs jsonb NOT NULL,
    reading_id uuid NOT NULL,
    observed_at timestamptz NOT NULL,
    said_since timestamptz NOT NULL,
    PRIMARY KEY (integration_id, day, account_id)
);
COMMENT ON COLUMN days.said_since IS 'observed_at of the first of an unbroken run of equal readings';
CREATE INDEX days_of_account ON days (account_id, day);

CREATE TABLE day_revisions (
    integration_id uuid NOT NULL,
    day date NOT NULL,
    account_id text NOT NULL,
    usd numeric NOT NULL,
    costs jsonb NOT NULL,
    reading_id uuid NOT NULL,
    said_since timestamptz NOT NULL,
    said_until timestamptz NOT NULL,
    replaced_by uuid NOT NULL,
    PRIMARY KEY (integration_id, day, account_id, said_since)
);
COMMENT ON TABLE day_revisions IS 'what a day said before a reading said something else; append only';

CREATE TABLE outcomes (
    integration_id uuid NOT NULL,
    reading_id uuid NOT NULL,
    account_id text NOT NULL,
    event_id text NOT NULL,
    judgements integer NOT NULL,
    reconciled boolean NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL,
    observed_at timestamptz NOT NULL,
    unreconciled_days date[] NOT NULL,
    outcome text NOT NULL,
    PRIMARY KEY (integration_id, reading_id, account_id)
);
COMMENT ON COLUMN outcomes.outcome IS 'SyncCompleted as it was published, word for word';
CREATE INDEX outcomes_of_account ON outcomes (account_id, observed_at);

CREATE TABLE erased (
    integration_id uuid PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE erased IS 'remembered for ever: messages of these integrations have no effect';
"""

REVISION = """
CREATE FUNCTION keep_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.costs = OLD.costs AND NEW.usd = OLD.usd THEN
        NEW.said_since := OLD.said_since;
    ELSE
        NEW.said_since := NEW.observed_at;
        INSERT INTO day_revisions
            (integration_id, day, account_id, usd, costs, reading_id, said_since, said_until, replaced_by)
        VALUES (OLD.integration_id, OLD.day, OLD.account_id, OLD.usd, OLD.costs, OLD.reading_id,
            OLD.said_since, NEW.observed_at, NEW.reading_id)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_revision BEFORE UPDATE ON days FOR EACH ROW EXECUTE FUNCTION keep_revision();
"""

ERASE = """
CREATE FUNCTION erase_integration(gone uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7205759405);
    INSERT INTO erased (integration_id) VALUES (gone) ON CONFLICT DO NOTHING;
    DELETE FROM days WHERE integration_id = gone;
    DELETE FROM day_revisions WHERE integration_id = gone;
    DELETE FROM outcomes WHERE integration_id = gone;
END $$;
REVOKE ALL ON FUNCTION erase_integration(uuid) FROM PUBLIC;
"""

# Postgres searches temporary tables first, unless pg_temp is named: otherwise a role that can create one could
# misdirect a function that runs with its owner's rights.
SEARCH_PATHS = """
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION keep_revision() SET search_path TO %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION erase_integration(uuid) SET search_path TO %I, pg_temp', current_schema());
END $$;
"""

VIEW = """
CREATE VIEW daily_costs AS
SELECT d.account_id, d.integration_id, d.day, c.label, c.product, c.model, c.usd, d.observed_at,
    d.observed_at < (d.day + 8)::timestamp AT TIME ZONE 'UTC' AS provisional
FROM days d, jsonb_to_recordset(d.costs) AS c(label text, product text, model text, usd numeric);
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE ON integrations, days, outcomes TO ledger;
GRANT SELECT, INSERT ON day_revisions TO ledger;
GRANT SELECT ON erased, daily_costs TO ledger;
GRANT EXECUTE ON FUNCTION erase_integration(uuid) TO ledger;
"""


def upgrade() -> None:
    for statements in (TABLES, REVISION, ERASE, SEARCH_PATHS, VIEW, GRANTS):
        op.execute(statements)
