"""What commands share: their common options, settings, the opened store, output, and the exit status.

Status 0 is done, 1 refused or something found, 2 usage or settings (architecture, section 8).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from broker.audit import Audit
from broker.clock import SystemClock, SystemEntropy
from broker.config import DEFAULT_FILE, Examined, SettingsError, examine
from broker.config.faults import Fault
from broker.doctor.database import mend
from broker.seal import Sealer, WrongMasterKey, load_or_create_master_key
from broker.settings import Settings
from broker.store.base import SchemaOutdated, Store, StoreLocked, StoreMisconfigured, StoreUnavailable
from broker.store.sqlite_file import require_one_name
from broker.store.url import SqliteUrl, parse
from providers.base import ProviderSettingsError, ProviderType

if TYPE_CHECKING:
    from broker.keys import SigningKeys

# What the store and the keys raise when they cannot do their work; each says why in a sentence.
REFUSALS = (WrongMasterKey, SchemaOutdated, StoreLocked, StoreMisconfigured, StoreUnavailable)
REFUSED, UNUSABLE = 1, 2
T = TypeVar("T")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="PATH", help="The settings file (default: BROKER_CONFIG, else broker.toml)."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting that wins over all other places; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def new_group(words: str, example: str) -> typer.Typer:
    """Return a command or command group whose help is plain text and whose faults are not dressed up."""
    return typer.Typer(
        help=words,
        epilog=f"Example: {example}",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


@dataclass(frozen=True, slots=True)
class Sources:
    """What the settings are read from; `file` is where the bytes of `toml` came from, if there are any."""

    argv: Mapping[str, str]
    environ: Mapping[str, str]
    toml: bytes | None
    file: Path


def sources(config_file: Path | None, overrides: Sequence[str] | None) -> Sources:
    """Return command line, environment and the settings file's bytes. Exits with 2 where a named file cannot be read."""
    argv = {}
    for override in overrides or ():
        name, equals, value = override.partition("=")
        if not equals or not name:
            raise typer.BadParameter("write NAME=VALUE, such as --set log_level=debug", param_hint="--set")
        if name in argv:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--set")
        argv[name] = value
    named = str(config_file) if config_file else os.environ.get("BROKER_CONFIG")
    path = Path(named or DEFAULT_FILE)
    environ = {**os.environ, **({"BROKER_CONFIG": named} if named else {})}
    try:
        return Sources(argv, environ, _toml(path, named), path)
    except (OSError, ValueError) as fault:
        stop(f"the settings file {path} cannot be read: {_why(fault)}", UNUSABLE)


def _toml(path: Path, named: str | None) -> bytes | None:
    return path.read_bytes() if named or path.exists() else None


def _why(fault: OSError | ValueError) -> str | None:
    return fault.strerror if isinstance(fault, OSError) else "no such path"


def read_again(first: Sources, types: Mapping[str, ProviderType]) -> Examined:
    """Return the settings as their file is now, with command line and environment as they were; raises SettingsError, never exits."""
    try:
        toml = _toml(first.file, first.environ.get("BROKER_CONFIG"))
    except (OSError, ValueError) as fault:
        wrong = f"cannot be read: {_why(fault)}"
        raise SettingsError([Fault(setting=str(first.file), origin="", wrong=wrong, mend="put it back")]) from None
    return examine(first.argv, first.environ, toml, types)


def known_types() -> Mapping[str, ProviderType]:
    """Return every provider type. Exits with 2 where an installed package's cannot be loaded."""
    from providers.registry import provider_types  # noqa: PLC0415 - imports every adapter

    try:
        return provider_types()
    except ProviderSettingsError as fault:
        stop(str(fault), UNUSABLE)


def examined(config_file: Path | None, overrides: Sequence[str] | None) -> Examined:
    """Return the settings and where they came from; raises SettingsError."""
    read = sources(config_file, overrides)
    return examine(read.argv, read.environ, read.toml, known_types())


def settings_from(config_file: Path | None, overrides: Sequence[str] | None) -> Settings:
    """Return the settings. Exits with 2, every fault on standard error, where they cannot be used."""
    try:
        return examined(config_file, overrides).settings
    except SettingsError as fault:
        stop(str(fault), UNUSABLE)


def database_settings(config_file: Path | None, overrides: Sequence[str] | None) -> Settings:
    """Return settings of which only the database counts: faults elsewhere are told, and do not stop what cannot wait for their mend.

    Exits with 2 where the database itself cannot be told.
    """
    read, types = sources(config_file, overrides), known_types()
    try:
        return examine(read.argv, read.environ, read.toml, types).settings
    except SettingsError as fault:
        try:
            alone = examine(*_database_alone(read), types).settings
        except (SettingsError, ValueError):
            stop(str(fault), UNUSABLE)
        typer.echo(f"mcp-broker: warning, the settings have faults, and only the database is used: {fault}", err=True)
        return alone


def _database_alone(read: Sources) -> tuple[dict[str, str], dict[str, str], bytes | None]:
    """Return the sources without anything but the database; raises ValueError for a file that is no TOML."""
    name = "database_url"
    argv = {key: value for key, value in read.argv.items() if key.lower().removeprefix("broker_") == name}
    environ = {key: value for key, value in read.environ.items() if key.startswith(f"BROKER_{name.upper()}")}
    given = tomllib.loads(read.toml.decode()) if read.toml else {}
    kept = [f"{key} = {json.dumps(value)}" for key, value in given.items() if key.startswith(name)]
    return {**argv, "issuer": "http://localhost"}, environ, "\n".join(kept).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a command works with: the settings and an open store."""

    settings: Settings
    store: Store
    audit: Audit
    clock: SystemClock
    entropy: SystemEntropy

    async def keys(self) -> SigningKeys:
        """Return the signing keys, loaded; a first start makes them. Raises WrongMasterKey, StoreUnavailable."""
        from broker.keys import SigningKeys  # noqa: PLC0415 - imports the signing library

        settings = with_master_key(self.settings)
        keys = SigningKeys(
            store=self.store,
            sealer=Sealer(settings.master_keys, self.entropy),
            clock=self.clock,
            entropy=self.entropy,
            audit=self.audit,
            settings=settings,
        )
        await keys.start()
        return keys


def with_master_key(settings: Settings) -> Settings:
    """Return the settings with a master key: where none is set (loopback, SQLite), the one beside the database, made once.

    Raises WrongMasterKey when that file holds none or cannot be used, StoreMisconfigured for a database with two names.
    """
    place = parse(settings.database_url.reveal())
    if settings.master_keys or not isinstance(place, SqliteUrl):
        return settings
    require_one_name(place.path)
    path = Path(f"{place.path}.key")
    if not path.exists():
        typer.echo(f"Making a master key for this machine: {path}", err=True)
    try:
        return replace(settings, master_keys=(load_or_create_master_key(path, SystemEntropy()),))
    except OSError as fault:
        raise WrongMasterKey(
            f"the master key {path} can be neither read nor made: {fault.strerror}. {mend(settings.database_url.reveal())}"
        ) from None


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Open the store beside a running broker, and close it; what the store raises passes through."""
    from broker.store.open import open_store  # noqa: PLC0415 - imports the drivers

    clock = SystemClock()
    audit = Audit(clock, write=_discard)  # events go into the store; standard output is the command's
    store = open_store(settings.database_url.reveal(), sink=audit.emit, clock=clock, serving=False)
    try:
        await store.open()
        clock.offset = await store.clock_offset()
        yield Desk(settings=settings, store=store, audit=audit, clock=clock, entropy=SystemEntropy())
    finally:
        await store.close()


def at_desk(settings: Settings, work: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
    """Return what `work` returns with the store open, and say where that makes one: the place may be a mistake.

    Exits with 1 and a sentence where the store or the keys refuse.
    """
    place = parse(settings.database_url.reveal())
    if isinstance(place, SqliteUrl) and not place.path.exists() and place.path.parent.is_dir():
        typer.echo(f"There is no database yet, making one: {place.path}", err=True)

    async def run() -> T:
        async with open_desk(settings) as desk:
            return await work(desk)

    try:
        return asyncio.run(run())
    except REFUSALS as fault:
        stop(why_refused(fault, settings))


def why_refused(fault: Exception, settings: Settings) -> str:
    """Return why store or keys refuse, in a sentence, with the setting to look at where the database does not answer."""
    words = " ".join(str(fault).split()).removesuffix(".") or type(fault).__name__
    if not isinstance(fault, StoreUnavailable):
        return words
    return f"{words}{'' if words.endswith('?') else '.'} {mend(settings.database_url.reveal())}"


def stop(message: str, status: int = REFUSED) -> NoReturn:
    """Say why on standard error, and exit."""
    typer.echo(f"mcp-broker: {message}", err=True)
    raise typer.Exit(status)


def print_json(value: Any) -> None:
    """Print JSON for a program."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(rows: Sequence[Sequence[str]], *, head: Sequence[str], empty: str) -> None:
    """Print columns for a person; `empty` where there is no row."""
    if not rows:
        typer.echo(empty)
        return
    lines = [tuple(head), *(tuple(plain(cell) for cell in row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def moment(seconds: int | None) -> str:
    """Return a time as people read it, in UTC; a dash for none."""
    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def plain(text: str) -> str:
    """Return text that cannot steer a terminal: names may come from strangers (rule G7)."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _discard(_line: str) -> None:
    return None
