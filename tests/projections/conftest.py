from tests.support.fixtures.rows import database, database_url, empty_database, postgres_server, postgres_url

__all__ = ["database", "database_url", "empty_database", "postgres_server", "postgres_url"]
