"""The labels of a day are stored once for all days that have the same, and the day has its amounts alone."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# `contract.messages.LabelList`: the text whose hash is the ID is what CostRecorded has, without the amounts.
LISTS = """
CREATE TABLE label_lists (
    labels_id uuid PRIMARY KEY,
    labels jsonb NOT NULL
);
COMMENT ON TABLE label_lists IS 'the labels of a day, each with product and model; a row never changes';
COMMENT ON COLUMN label_lists.labels_id IS 'the beginning of the SHA-256 hash of labels, as the message has them';
GRANT SELECT, INSERT ON label_lists TO ledger;

CREATE FUNCTION labels_of(costs jsonb) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT concat('[', string_agg(format('{"label":%s,"product":%s,"model":%s}', c -> 'label',
        coalesce(c -> 'product', 'null'), c -> 'model'), ',' ORDER BY number), ']')
    FROM jsonb_array_elements(costs) WITH ORDINALITY AS one(c, number)
$$;
CREATE FUNCTION id_of(labels text) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CAST(left(encode(sha256(convert_to(labels, 'UTF8')), 'hex'), 32) AS uuid)
$$;
CREATE FUNCTION amounts_of(costs jsonb) RETURNS numeric[] LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT coalesce(array_agg(CAST(c ->> 'usd' AS numeric) ORDER BY number), '{}')
    FROM jsonb_array_elements(costs) WITH ORDINALITY AS one(c, number)
$$;
"""

# A column that a view reads keeps its type: until the end of the migration the view reads none of them.
BEFORE = """
CREATE OR REPLACE VIEW daily_costs AS
SELECT account_id, integration_id, day, NULL::text AS label, NULL::text AS product, NULL::text AS model, usd, observed_at,
    false AS provisional
FROM days WHERE false;
ALTER TABLE days DISABLE TRIGGER keep_revision;
"""

# The second statement writes the table again, without what the first one left.
MOVE = """
ALTER TABLE {table} ADD COLUMN labels_id uuid;
UPDATE {table} SET labels_id = id_of(labels_of(costs));
INSERT INTO label_lists SELECT DISTINCT ON (labels_id) labels_id, CAST(labels_of(costs) AS jsonb) FROM {table}
ON CONFLICT DO NOTHING;
ALTER TABLE {table} ALTER COLUMN labels_id SET NOT NULL, ALTER COLUMN costs TYPE numeric[] USING amounts_of(costs);
ALTER TABLE {table} RENAME COLUMN costs TO amounts;
COMMENT ON COLUMN {table}.amounts IS 'US dollars, in the order of the labels';
CREATE INDEX {table}_of_labels ON {table} (labels_id);
"""

AFTER = """
ALTER TABLE days ENABLE TRIGGER keep_revision;
DROP FUNCTION labels_of(jsonb);
DROP FUNCTION id_of(text);
DROP FUNCTION amounts_of(jsonb);

CREATE FUNCTION costs_of(labels_id uuid, amounts numeric[]) RETURNS jsonb LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT (SELECT coalesce(jsonb_agg(label || jsonb_build_object('usd', CAST(usd AS text)) ORDER BY number), '[]')
        FROM ROWS FROM (jsonb_array_elements(l.labels), unnest(amounts)) WITH ORDINALITY AS one(label, usd, number))
    FROM label_lists l WHERE l.labels_id = costs_of.labels_id
$$;
COMMENT ON FUNCTION costs_of IS 'the costs of a day as CostRecorded has them; null where nobody has stored the labels';

CREATE OR REPLACE VIEW daily_costs AS
SELECT d.account_id, d.integration_id, d.day, c.label ->> 'label' AS label, c.label ->> 'product' AS product,
    c.label ->> 'model' AS model, c.usd, d.observed_at,
    d.observed_at < (d.day + 8)::timestamp AT TIME ZONE 'UTC' AS provisional
FROM days d JOIN label_lists USING (labels_id)
    CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements(labels), unnest(amounts)) AS c(label, usd)
WHERE NOT EXISTS (SELECT 1 FROM integrations i WHERE i.integration_id = d.integration_id AND i.duplicate);
"""

# As before (0006), of amounts.
REVISION = """
CREATE OR REPLACE FUNCTION keep_revision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF (NEW.labels_id = OLD.labels_id AND NEW.amounts = OLD.amounts) OR (
        (abs(NEW.usd - OLD.usd) <= 1e-12 * least(NEW.usd, OLD.usd) OR 0 > ANY(NEW.amounts) OR 0 > ANY(OLD.amounts))
        AND same_costs(costs_of(NEW.labels_id, NEW.amounts), costs_of(OLD.labels_id, OLD.amounts))
    ) THEN
        NEW.said_since := OLD.said_since;
    ELSE
        NEW.said_since := NEW.observed_at;
        INSERT INTO day_revisions
            (integration_id, day, account_id, usd, labels_id, amounts, reading_id, said_since, said_until, replaced_by)
        VALUES (OLD.integration_id, OLD.day, OLD.account_id, OLD.usd, OLD.labels_id, OLD.amounts, OLD.reading_id,
            OLD.said_since, NEW.observed_at, NEW.reading_id)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END $$;
"""


# A label can name a model that only one team has. No batch runs meanwhile: none counts on a deleted list.
ERASE = """
CREATE OR REPLACE FUNCTION erase_integration(gone uuid) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7205759405);
    INSERT INTO erased (integration_id) VALUES (gone) ON CONFLICT DO NOTHING;
    DELETE FROM days WHERE integration_id = gone;
    DELETE FROM day_revisions WHERE integration_id = gone;
    DELETE FROM outcomes WHERE integration_id = gone;
    DELETE FROM label_lists l WHERE NOT EXISTS (SELECT FROM days d WHERE d.labels_id = l.labels_id)
        AND NOT EXISTS (SELECT FROM day_revisions r WHERE r.labels_id = l.labels_id);
END $$;
"""

SEARCH_PATHS = """
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION costs_of(uuid, numeric[]) SET search_path TO %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION keep_revision() SET search_path TO %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION erase_integration(uuid) SET search_path TO %I, pg_temp', current_schema());
END $$;
"""


def upgrade() -> None:
    op.execute(LISTS)
    op.execute(BEFORE)
    for table in ("days", "day_revisions"):
        op.execute(MOVE.format(table=table))
    for statements in (AFTER, REVISION, ERASE, SEARCH_PATHS):
        op.execute(statements)
