"""`mcp-broker audit`: the trail of events."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from broker.audit import Event, as_line
from broker.audit_fields import clean
from broker.cli.context import AsJson, ConfigFile, Desk, Overrides, at_desk, new_group, print_json, settings_from
from broker.config.faults import nearest

if TYPE_CHECKING:
    from broker.store.base import StoredEvent

app = new_group("The audit trail.", example="mcp-broker audit tail --follow")
POLL = 0.5  # seconds between looks for new events
BATCH = 500


@app.callback()
def group() -> None:
    """The audit trail."""


@app.command(epilog="Example: mcp-broker audit tail -n 50 --name token.refresh_reused --follow")
def tail(
    *,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=100_000, help="How many events.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then wait for more until Ctrl-C.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="Only events of this name, such as code.replayed.")] = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Print the newest events, oldest first. With --follow, --json prints one object a line."""
    settings = settings_from(config_file, overrides)
    _check(name)

    async def work(desk: Desk) -> None:
        found = await desk.store.read_events(limit=lines, newest=True, name=name)
        if as_json and not follow:
            print_json([_as_json(stored) for stored in found])
            return
        _print(found, as_json=as_json)
        last = found[-1].sequence if found else 0
        while follow:
            await asyncio.sleep(POLL)
            found = await desk.store.read_events(after=last, limit=BATCH, name=name)
            _print(found, as_json=as_json)
            last = found[-1].sequence if found else last

    try:
        at_desk(settings, work)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _check(name: str | None) -> None:
    names = [event.value for event in Event]
    if name is not None and name not in names:
        close = nearest(name, names)
        words = f"did you mean {close}?" if close else f"the names are {', '.join(sorted(names))}"
        raise typer.BadParameter(f"no event has the name {name!r}; {words}", param_hint="--name")


def _print(events: list[StoredEvent], *, as_json: bool) -> None:
    for stored in events:
        if as_json:
            typer.echo(json.dumps(_as_json(stored)))
            continue
        event = stored.event
        at = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        fields = {k: v for k, v in _as_json(stored).items() if k not in ("sequence", "event", "at")}
        words = " ".join(f"{key}={json.dumps(clean(value), ensure_ascii=True)}" for key, value in fields.items())
        typer.echo(f"{at}  {event.name:<22}  {words}".rstrip())


def _as_json(stored: StoredEvent) -> dict[str, str | int | bool | None]:
    return {"sequence": stored.sequence, **json.loads(as_line(stored.event))}
