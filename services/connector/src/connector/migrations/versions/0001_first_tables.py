"""Accounts and their plan, integrations (each row is its own outbox), the history of syncs."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE accounts (
    account_id text PRIMARY KEY,
    plan text NOT NULL
);

CREATE TABLE integrations (
    integration_id uuid PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    team_id text NOT NULL,
    label text NOT NULL,
    status text NOT NULL,
    status_code text,
    status_since timestamptz NOT NULL,
    version bigint NOT NULL,
    credential_version integer NOT NULL,
    wrap_version integer NOT NULL,
    envelope jsonb,
    history text,
    history_from date NOT NULL,
    backfill_first date NOT NULL,
    backfill_last date NOT NULL,
    added_at timestamptz NOT NULL,
    removed_at timestamptz,
    changed_at timestamptz NOT NULL,
    observed_at timestamptz,
    announced_version bigint NOT NULL DEFAULT 0,
    announced_credential_version integer NOT NULL DEFAULT 0,
    announced_wrap_version integer NOT NULL DEFAULT 0,
    announced_at timestamptz,
    CHECK ((envelope IS NULL) = (removed_at IS NOT NULL))
);
COMMENT ON COLUMN integrations.envelope IS 'the sealed key; null once the integration is removed';
COMMENT ON COLUMN integrations.observed_at IS 'of the newest outcome that had its say about the status';
COMMENT ON COLUMN integrations.announced_version IS 'what the relay has published; behind version means to be published';
CREATE UNIQUE INDEX integrations_once ON integrations (account_id, team_id) WHERE removed_at IS NULL;
CREATE INDEX integrations_of_account ON integrations (account_id);
CREATE INDEX integrations_to_announce ON integrations (changed_at) WHERE version > announced_version
    OR (credential_version, wrap_version) > (announced_credential_version, announced_wrap_version);
CREATE INDEX integrations_by_announcement ON integrations (announced_at);

CREATE TABLE syncs (
    integration_id uuid NOT NULL,
    event_id text NOT NULL,
    account_id text NOT NULL,
    trigger text NOT NULL,
    request_ids text[] NOT NULL,
    first_day date,
    last_day date,
    covered datemultirange NOT NULL,
    usd numeric,
    days_changed integer,
    reconciled boolean,
    code text,
    final boolean NOT NULL,
    attempts integer NOT NULL,
    next_attempt_at timestamptz,
    observed_at timestamptz,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, event_id)
);
COMMENT ON COLUMN syncs.covered IS 'the days that the ledger confirmed';
CREATE INDEX syncs_newest_first ON syncs (integration_id, recorded_at DESC);

GRANT SELECT, INSERT, UPDATE ON accounts, integrations TO connector;
GRANT SELECT, INSERT, DELETE ON syncs TO connector;
"""


def upgrade() -> None:
    op.execute(TABLES)
