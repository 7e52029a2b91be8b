"""What is known of each day, and the questions about days that lost money.

A process of the former version does not write them: it guards nothing, and what it published meanwhile may be questioned
by the next reading, for a quarter of an hour.
"""

import json
import zlib
from collections.abc import Iterator
from datetime import date

from alembic import op
from sqlalchemy import Row, text
from xai_usage import UnreadableAnswerError, model_of, parse

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE known_days (
    integration_id uuid NOT NULL,
    day date NOT NULL,
    ticks jsonb NOT NULL,
    PRIMARY KEY (integration_id, day)
);
COMMENT ON COLUMN known_days.ticks IS
    'by model, of the newest reading that was published; 1 USD has 10000000000 ticks, and zeros are left out';

CREATE TABLE questions (
    integration_id uuid NOT NULL,
    day date NOT NULL,
    asked_at timestamptz NOT NULL,
    kind text NOT NULL,
    answer jsonb NOT NULL,
    answered_at timestamptz NOT NULL,
    believed_from timestamptz NOT NULL,
    accepted boolean NOT NULL DEFAULT false,
    ask_again_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, day)
);
COMMENT ON TABLE questions IS 'readings of a day that were not published, because money was missing';
COMMENT ON COLUMN questions.asked_at IS 'observed_at of the first of them';
COMMENT ON COLUMN questions.answer IS 'ticks by model, as the newest of them reported';
COMMENT ON COLUMN questions.answered_at IS 'observed_at of the newest of them';
COMMENT ON COLUMN questions.believed_from IS 'a reading from then on with the same answer is published';
COMMENT ON COLUMN questions.accepted IS 'by an operator: the next reading with the same answer is published';
COMMENT ON COLUMN questions.ask_again_at IS 'when the healer reads the day';
CREATE INDEX questions_due ON questions (ask_again_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON known_days, questions TO syncer;
"""

PUBLISHED = text("""
    SELECT r.body, r.first_day, r.last_day, array_agg(c.day) AS days
    FROM coverage c JOIN raw_answers r ON r.integration_id = c.integration_id AND r.observed_at = c.published_at
        AND c.day BETWEEN r.first_day AND r.last_day
    WHERE c.integration_id = :id GROUP BY r.reading_id, r.part
""")

KNOWN = text("""
    INSERT INTO known_days (integration_id, day, ticks) VALUES (:id, :day, CAST(:ticks AS jsonb)) ON CONFLICT DO NOTHING
""")


def upgrade() -> None:
    op.execute(TABLES)
    connection = op.get_bind()
    for integration_id in connection.execute(text("SELECT integration_id FROM integrations")).scalars().all():
        rows = [
            {"id": integration_id, "day": day, "ticks": json.dumps(ticks)}
            for answer in connection.execute(PUBLISHED, {"id": integration_id}).all()
            for day, ticks in _known(answer)
        ]
        if rows:
            connection.execute(KNOWN, rows)


def _known(answer: Row[tuple[object, ...]]) -> Iterator[tuple[date, dict[str, int]]]:
    """What was published of an answer, by day; nothing of one that was cut."""
    try:
        found = parse(zlib.decompress(answer.body), answer.first_day, answer.last_day)
    except UnreadableAnswerError:  # it was read by other rules: its days are not guarded until they are read again
        return
    for day in () if found.limit_reached else answer.days:
        ticks: dict[str, int] = {}
        for label, usd in found.days[day].items():
            model = model_of(label)
            ticks[model] = ticks.get(model, 0) + int(usd.scaleb(10).to_integral_value())
        yield day, {model: amount for model, amount in ticks.items() if amount}
