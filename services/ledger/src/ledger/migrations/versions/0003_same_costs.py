"""A revision is what a day held before a reading with other amounts; fields beside them and noise make none."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# `contract.money.same_costs` in SQL: by label, an absent one is 0, and 1e-12 of the smaller amount is noise.
SAME_COSTS = """
CREATE FUNCTION same_costs(one jsonb, other jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT NOT EXISTS (
        SELECT FROM (
            SELECT c ->> 'label' AS label, CAST(c ->> 'usd' AS numeric) AS here, 0 AS there
            FROM jsonb_array_elements(one) c
          UNION ALL
            SELECT c ->> 'label', 0, CAST(c ->> 'usd' AS numeric) FROM jsonb_array_elements(other) c
        ) amounts
        GROUP BY label
        HAVING abs(sum(here) - sum(there)) > 1e-12 * least(abs(sum(here)), abs(sum(there)))
    )
$$;
"""

REVISION = """
CREATE OR REPLACE FUNCTION keep_revision() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.costs = OLD.costs OR same_costs(NEW.costs, OLD.costs) THEN
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
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION keep_revision() SET search_path TO %I, pg_temp', current_schema());
END $$;
"""


def upgrade() -> None:
    op.execute(SAME_COSTS)
    op.execute(REVISION)
