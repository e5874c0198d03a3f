"""`mcp-broker config`: what the settings are and where they came from, whether they are good, and their schema."""

from __future__ import annotations

import typer

from broker.cli.context import (
    REFUSED,
    UNUSABLE,
    AsJson,
    ConfigFile,
    Overrides,
    examined,
    known_types,
    new_group,
    print_json,
    print_table,
    stop,
)
from broker.config import SettingsError
from broker.config.schema import schema as schema_of
from broker.doctor.findings import counted

app = new_group(
    "The settings: what they are, whether they are good, and their schema.", example="mcp-broker config validate"
)


@app.command(epilog="Example: mcp-broker config show --config broker.toml --set log_level=debug")
def show(config_file: ConfigFile = None, overrides: Overrides = None, *, as_json: AsJson = False) -> None:
    """Print every setting with its origin; secrets are masked."""
    try:
        found = examined(config_file, overrides)
    except SettingsError as fault:
        stop(str(fault), UNUSABLE)
    if as_json:
        print_json([{"name": e.name, "value": e.value, "origin": e.origin} for e in found.entries])
        return
    rows = [(e.name, "(not set)" if e.value is None else e.value, e.origin) for e in found.entries]
    print_table(rows, head=("SETTING", "VALUE", "ORIGIN"), empty="")


@app.command(epilog="Example: mcp-broker config validate --config /etc/broker.toml --json")
def validate(config_file: ConfigFile = None, overrides: Overrides = None, *, as_json: AsJson = False) -> None:
    """Tell every fault of the settings (status 2), and rules over what a provider never gives (status 1)."""
    try:
        found = examined(config_file, overrides)
    except SettingsError as fault:
        if as_json:
            faults = [
                {"setting": f.setting, "origin": f.origin, "wrong": f.wrong, "mend": f.mend} for f in fault.faults
            ]
            print_json({"valid": False, "faults": faults, "warnings": []})
            raise typer.Exit(UNUSABLE) from None
        stop(str(fault), UNUSABLE)
    settings = found.settings
    if as_json:
        print_json({"valid": True, "faults": [], "warnings": list(settings.warnings)})
    else:
        typer.echo(
            f"The settings of {settings.issuer} are good: {counted(len(settings.providers), 'provider')}, "
            f"{counted(len(settings.resources), 'resource')}, {counted(len(settings.clients), 'client')}, "
            f"{counted(len(settings.policy), 'policy rule')}."
        )
        for warning in settings.warnings:
            typer.echo(f"Warning: {warning}.")
    if found.unmet:
        raise typer.Exit(REFUSED)


@app.command(epilog="Example: mcp-broker config schema > broker.schema.json")
def schema(*, as_json: AsJson = False) -> None:  # noqa: ARG001 - every command has --json; a schema is always JSON
    """Print the JSON Schema of broker.toml, for editors."""
    print_json(schema_of(known_types()))
