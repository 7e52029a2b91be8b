"""Integrations and their sealed keys, requests, windows, coverage, raw answers."""

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
    plan text NOT NULL,
    removed boolean NOT NULL,
    version bigint NOT NULL,
    credential_version integer NOT NULL,
    history_from date NOT NULL,
    refused_code text,
    refused_since timestamptz,
    retry_after timestamptz,
    observed_at timestamptz,
    read_at timestamptz,
    lease uuid,
    lease_owner text,
    lease_until timestamptz,
    leased_window uuid
);
COMMENT ON COLUMN integrations.credential_version IS 'as announced; windows wait until that credential has arrived';
COMMENT ON COLUMN integrations.refused_code IS 'xAI refused the current credential version';
COMMENT ON COLUMN integrations.retry_after IS 'xAI asked not to be asked before, whatever the window';
COMMENT ON COLUMN integrations.observed_at IS 'the last one that was handed out: the next one is later, whatever the clock does';
COMMENT ON COLUMN integrations.read_at IS 'observed_at of the newest reading that took in its own day';
COMMENT ON COLUMN integrations.lease_owner IS 'INSTANCE_NAME: when it starts anew, what it held is free at once';
COMMENT ON COLUMN integrations.lease IS 'who holds leased_window; at most one window of an integration at a time';

CREATE TABLE credentials (
    integration_id uuid PRIMARY KEY,
    account_id text NOT NULL,
    credential_version integer NOT NULL,
    wrap_version integer NOT NULL,
    envelope jsonb NOT NULL
);

CREATE TABLE requests (
    integration_id uuid NOT NULL,
    request_id text NOT NULL,
    trigger text NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL,
    received_at timestamptz NOT NULL,
    window_id uuid,
    PRIMARY KEY (integration_id, request_id)
);
COMMENT ON COLUMN requests.window_id IS 'null: the integration is not known yet';
CREATE INDEX requests_of_window ON requests (window_id);
CREATE INDEX requests_parked ON requests (received_at) WHERE window_id IS NULL;
CREATE INDEX requests_by_age ON requests (received_at);

CREATE TABLE windows (
    window_id uuid PRIMARY KEY,
    integration_id uuid NOT NULL,
    trigger text NOT NULL,
    urgency smallint NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL,
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    failed_since timestamptz,
    code text,
    decision text,
    closed_at timestamptz
);
COMMENT ON COLUMN windows.decision IS 'what became of the attempt, to be published; null while nothing is decided';
CREATE INDEX windows_queue ON windows ((decision IS NULL), urgency, last_day DESC, due_at) WHERE closed_at IS NULL;
CREATE INDEX windows_open ON windows (integration_id) WHERE closed_at IS NULL;
CREATE INDEX windows_by_age ON windows (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE coverage (
    integration_id uuid NOT NULL,
    day date NOT NULL,
    published_at timestamptz,
    confirmed_at timestamptz,
    unreconciled_at timestamptz,
    heals integer NOT NULL DEFAULT 0,
    heal_after timestamptz,
    PRIMARY KEY (integration_id, day)
);
COMMENT ON TABLE coverage IS
    'observed_at of the newest reading of a day that was published, that the ledger confirmed, that it could not reconcile';

CREATE TABLE raw_answers (
    reading_id uuid NOT NULL,
    part integer NOT NULL,
    integration_id uuid NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL,
    observed_at timestamptz NOT NULL,
    sha256 bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (reading_id, part)
);
COMMENT ON COLUMN raw_answers.body IS 'as xAI sent it, compressed with zlib; sha256 is of the uncompressed bytes';
CREATE INDEX raw_answers_by_age ON raw_answers (observed_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON integrations, credentials, requests, windows, coverage, raw_answers TO syncer;
"""


def upgrade() -> None:
    op.execute(TABLES)
