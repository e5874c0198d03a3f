"""`mcp-broker migrate`: the database's schema. On SQLite `serve` does it by itself; on PostgreSQL this comes first."""

from __future__ import annotations

from typing import Annotated

import typer

from broker.cli.context import (
    REFUSALS,
    REFUSED,
    AsJson,
    ConfigFile,
    Overrides,
    print_json,
    settings_from,
    stop,
    why_refused,
)

EXAMPLE = "Example: mcp-broker migrate --check || mcp-broker migrate"


def migrate(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; status 1 if there is something to do.")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Change nothing; print the SQL for somebody else to run.")] = False,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Bring the database to this version's schema."""
    if check and sql:
        raise typer.BadParameter("choose one of the two", param_hint="--check/--sql")
    settings = settings_from(config_file, overrides)
    url = settings.database_url.reveal()
    from broker.store import migrate as migrations  # noqa: PLC0415 - imports SQLAlchemy

    try:
        if sql:
            text = migrations.sql(url)
            if as_json:
                print_json({"sql": text})
            else:
                typer.echo(text, nl=False)
            return
        pending = migrations.pending(url)
        if pending and not check:
            migrations.migrate(url)
    except REFUSALS as fault:
        stop(why_refused(fault, settings))
    if as_json:
        print_json({"pending": pending and check, "migrated": pending and not check})
    elif not pending:
        typer.echo("The schema is up to date.")
    else:
        typer.echo("The schema is older than this version needs: run mcp-broker migrate." if check else "Migrated.")
    if check and pending:
        raise typer.Exit(REFUSED)
