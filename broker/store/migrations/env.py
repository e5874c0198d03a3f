"""How Alembic runs our migrations: in one explicit transaction that no second migration enters.

`broker.store.migrate` hands in the connection, or for SQL to read the name of the dialect. The lock comes first and the version is read
under it, so of several upgrades at once one does the work and the others find it done.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

LOCKS = {
    "sqlite": "begin immediate",
    "postgresql": "select pg_advisory_xact_lock(7205759403792793)",  # any number of our own
}


def run(connection: Connection) -> None:
    """Migrate over an open connection and commit."""
    connection.exec_driver_sql(LOCKS[connection.dialect.name])
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


def write(dialect: str) -> None:
    """Write the same migrations as SQL, with the lock first."""
    context.configure(dialect_name=dialect, transactional_ddl=True)
    with context.begin_transaction():
        if dialect == "postgresql":
            context.execute(LOCKS[dialect])
        context.run_migrations()


if context.is_offline_mode():
    write(context.config.attributes["dialect"])
else:
    run(context.config.attributes["connection"])
