"""`mcp-broker doctor`: everything that can be told about an installation without a person, each finding with its one-line mend.

Works beside a running broker and without one. Nothing is made or changed; only a canary token is recorded (`broker.doctor.canary`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from broker.cli.context import (
    REFUSED,
    UNUSABLE,
    AsJson,
    ConfigFile,
    Overrides,
    examined,
    known_types,
    plain,
    print_json,
    stop,
)
from broker.config import SettingsError
from broker.config.resources import find
from broker.doctor import configuration
from broker.model import Resource
from broker.settings import ProviderConfig, Settings
from providers.base import Check, Verdict

EXAMPLE = "Example: mcp-broker doctor --provider corp --resource https://files.example.com/mcp --json"
ALL = "all"
COLOURS = {Verdict.OK: typer.colors.GREEN, Verdict.WARN: typer.colors.YELLOW, Verdict.FAIL: typer.colors.RED}


def doctor(
    *,
    providers: Annotated[
        list[str] | None, typer.Option("--provider", metavar="ID", help="Only this identity provider; may be repeated.")
    ] = None,
    resources: Annotated[
        list[str] | None,
        typer.Option(
            "--resource", metavar="URL", help="This MCP server too (its URL or id, or `all`); may be repeated."
        ),
    ] = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Examine settings, database, keys, issuer, identity providers and MCP servers; status 1 if anything fails."""
    try:
        found = examined(config_file, overrides)
    except SettingsError as error:
        if not as_json:
            stop(str(error), UNUSABLE)
        _print(configuration.refused(error), as_json=True)
        raise typer.Exit(UNUSABLE) from None
    chosen = _chosen_providers(found.settings, providers or ()), _chosen_resources(found.settings, resources or ())
    from broker.cli.examination import examine  # noqa: PLC0415 - imports the store, the adapters and the signing library

    checks = examine(found, *chosen, known_types())
    _print(checks, as_json=as_json)
    if any(check.status is Verdict.FAIL for check in checks):
        raise typer.Exit(REFUSED)


def _chosen_providers(settings: Settings, ids: Sequence[str]) -> list[ProviderConfig]:
    known = {p.id: p for p in settings.providers}
    for id_ in ids:
        if id_ not in known:
            words = f"{id_!r} is not configured; there is {', '.join(known) or 'none'}"
            raise typer.BadParameter(words, param_hint="--provider")
    return [known[id_] for id_ in dict.fromkeys(ids)] if ids else list(known.values())


def _chosen_resources(settings: Settings, names: Sequence[str]) -> list[Resource]:
    if ALL in names:
        return list(settings.resources)
    chosen = {}
    for name in names:
        found = find(settings.resources, name)
        if found is None:
            words = f"{name!r} is not configured; there is {', '.join(r.url for r in settings.resources) or 'none'}"
            raise typer.BadParameter(words, param_hint="--resource")
        chosen[found.id] = found
    return list(chosen.values())


def _print(checks: Sequence[Check], *, as_json: bool) -> None:
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
        return
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = max(len(check.name) for check in checks)
    for number, check in enumerate(checks, start=1):
        word = f"{check.status.value:<4}"
        word = typer.style(word, fg=COLOURS[check.status], bold=True) if colour else word
        typer.echo(f"{number:>3}  {word}  {plain(check.name):<{width}}  {plain(check.detail)}", color=colour)
        if check.fix and check.status is not Verdict.OK:
            typer.echo(f"{'':>11}{'':<{width}}  Fix: {plain(check.fix)}", color=colour)
    counts = ", ".join(f"{sum(c.status is v for c in checks)} {v.value}" for v in Verdict)
    typer.echo(f"{len(checks)} checks: {counts}.")
