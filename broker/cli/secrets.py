"""`mcp-broker secrets`: entries of this machine's keyring that settings refer to as keyring:service/name.

Keyrings do not list what they hold, so the names (never the values) of entries made here are kept in an entry of ours.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Annotated, NoReturn

import typer

from broker.cli.context import (
    AsJson,
    ConfigFile,
    Overrides,
    new_group,
    print_json,
    print_table,
    sources,
    stop,
)
from broker.secret_source import SecretUnavailable, delete_entry, find_entry, split_entry, store_entry

app = new_group(
    "Secrets in this machine's keyring, for settings such as keyring:service/name.",
    example="mcp-broker secrets set corp/client-secret",
)
Entry = Annotated[str, typer.Argument(metavar="SERVICE/NAME", help="The entry, as in keyring:SERVICE/NAME.")]
INDEX = ("mcp-broker", "index of entries")
_REFERENCE = re.compile(r"keyring:([^\s,\"']+/[^\s,\"']+)")


@app.command("set", epilog="Example: pass show idp/secret | mcp-broker secrets set corp/client_secret")
def set_(entry: Entry, *, as_json: AsJson = False) -> None:
    """Keep a secret, read from a prompt or standard input."""
    service, name = _split(entry)
    secret = _read()
    if not secret:
        stop("an empty secret is not kept")
    try:
        store_entry(service, name, secret)
        _remember({*_index(), entry})
    except SecretUnavailable as fault:
        _refuse(fault)
    if as_json:
        print_json({"reference": f"keyring:{entry}"})
    else:
        typer.echo(f"Kept. Refer to it as keyring:{entry}")


@app.command("list", epilog="Example: mcp-broker secrets list --json")
def list_(*, config_file: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """List entries made with `set` and entries that the settings refer to; never a value."""
    read = sources(config_file, overrides)
    texts = [*read.argv.values(), *read.environ.values(), (read.toml or b"").decode("utf-8", "replace")]
    used = {entry for text in texts for entry in _REFERENCE.findall(text)}
    try:
        entries = [
            {
                "reference": f"keyring:{entry}",
                "present": find_entry(*split_entry(entry)) is not None,
                "used": entry in used,
            }
            for entry in sorted(used | _index())
        ]
    except SecretUnavailable as fault:
        _refuse(fault)
    if as_json:
        print_json(entries)
        return
    rows = [
        (str(e["reference"]), "present" if e["present"] else "missing", "used by the settings" if e["used"] else "")
        for e in entries
    ]
    print_table(rows, head=("REFERENCE", "ENTRY", ""), empty="There is no entry: mcp-broker secrets set SERVICE/NAME")


@app.command(epilog="Example: mcp-broker secrets delete corp/client_secret")
def delete(entry: Entry, *, as_json: AsJson = False) -> None:
    """Delete an entry."""
    service, name = _split(entry)
    try:
        deleted = delete_entry(service, name)
        _remember(_index() - {entry})
    except SecretUnavailable as fault:
        _refuse(fault)
    if not deleted:
        stop(f"the keyring has no entry {entry}")
    if as_json:
        print_json({"deleted": f"keyring:{entry}"})
    else:
        typer.echo(f"Deleted keyring:{entry}")


def _split(entry: str) -> tuple[str, str]:
    try:
        parts = split_entry(entry)
    except SecretUnavailable:
        raise typer.BadParameter("write SERVICE/NAME, such as corp/client_secret", param_hint="SERVICE/NAME") from None
    if parts == INDEX:
        raise typer.BadParameter("that entry keeps the list", param_hint="SERVICE/NAME")
    return parts


def _read() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Secret", hide_input=True, confirmation_prompt="Again"))
    return sys.stdin.read().rstrip("\r\n")


def _index() -> set[str]:
    return set(json.loads(find_entry(*INDEX) or "[]"))


def _remember(entries: set[str]) -> None:
    store_entry(*INDEX, json.dumps(sorted(entries)))


def _refuse(fault: SecretUnavailable) -> NoReturn:
    stop(f"{fault.wrong}\n    -> {fault.mend}")
