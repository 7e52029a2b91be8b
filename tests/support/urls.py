"""One URL in the form that each client takes."""


def psycopg_url(database_url: str) -> str:
    """SQLAlchemy's URL of a database, for psycopg."""
    return database_url.replace("postgresql+psycopg://", "postgresql://")
