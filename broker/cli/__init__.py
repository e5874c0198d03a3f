"""The command line: one file a command group. What is slow to import waits for the command that needs it, so that help is quick."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from broker.cli import audit, clients, config, doctor, keys, migrate, policy, secrets, users
from broker.cli.context import UNUSABLE, ConfigFile, Overrides, known_types, new_group, read_again, sources, stop
from broker.config import SettingsError, examine

app = new_group(
    "An OAuth 2.1 authorization server for MCP servers: sign-in stays with your identity provider.",
    example="BROKER_ISSUER=https://auth.example.com mcp-broker config validate",
)
app.add_typer(config.app, name="config")
app.add_typer(secrets.app, name="secrets")
app.add_typer(clients.app, name="clients")
app.add_typer(keys.app, name="keys")
app.add_typer(policy.app, name="policy")
app.add_typer(users.app, name="users")
app.add_typer(audit.app, name="audit")
app.command("migrate", epilog=migrate.EXAMPLE)(migrate.migrate)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)


@app.command(epilog="Example: BROKER_ISSUER=https://auth.example.com mcp-broker serve --config /etc/broker.toml")
def serve(config_file: ConfigFile = None, overrides: Overrides = None) -> None:
    """Serve until asked to stop (SIGTERM or Ctrl-C)."""
    first, types = sources(config_file, overrides), known_types()
    try:
        began = examine(first.argv, first.environ, first.toml, types)
    except SettingsError as fault:
        stop(str(fault), UNUSABLE)
    from broker.cli.serve import run  # noqa: PLC0415 - imports the whole broker

    raise typer.Exit(run(began, first.file, functools.partial(read_again, first, types)))


@app.command(epilog="Example: mcp-broker demo --once")
def demo(*, once: Annotated[bool, typer.Option("--once", help="Exit after the run.")] = False) -> None:
    """Run the whole login on this machine, without any configuration."""
    from broker.cli.demo import run  # noqa: PLC0415 - imports the whole broker

    raise typer.Exit(run(once))


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked

        typer.echo(version("mcp-federation-broker"))
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """An OAuth 2.1 authorization server for MCP servers: sign-in stays with your identity provider."""


def main() -> None:
    """Run the command that the process was started with."""
    app()
