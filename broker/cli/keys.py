"""`mcp-broker keys`: the signing keys, making new ones before their time, and moving them to a new master key."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from broker.cli.context import (
    AsJson,
    ConfigFile,
    Desk,
    Overrides,
    at_desk,
    moment,
    new_group,
    print_json,
    print_table,
    settings_from,
    stop,
    with_master_key,
)
from broker.model import SigningKey
from broker.protocol.key_ring import state
from broker.seal import Sealer

app = new_group(
    "Signing keys: list them, make new ones before their time, or seal them under a new master key.",
    example="mcp-broker keys list",
)


@app.command("list", epilog="Example: mcp-broker keys list --json")
def list_(*, config_file: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """List the signing keys: which one is published, signs, or only verifies."""

    async def work(desk: Desk) -> list[dict[str, Any]]:
        ring = await desk.store.load_keys()
        return _described([key for key in ring.keys if key.public_jwk], desk.clock.now())

    _print(at_desk(settings_from(config_file, overrides), work), as_json=as_json)


@app.command(epilog="Example: mcp-broker keys rotate --now --alg RS256")
def rotate(
    *,
    at_once: Annotated[
        bool,
        typer.Option("--now", help="Sign with it at once. Verifiers that cache keys may refuse tokens for a while."),
    ] = False,
    alg: Annotated[str | None, typer.Option("--alg", help="Only this algorithm (default: each in use).")] = None,
    config_file: ConfigFile = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key; it is published two hours before it signs."""
    settings = settings_from(config_file, overrides)
    if alg is not None and alg not in settings.signing_algs:
        raise typer.BadParameter(f"{alg!r} is not in use: {', '.join(settings.signing_algs)}", param_hint="--alg")

    async def work(desk: Desk) -> list[dict[str, Any]]:
        keys = await desk.keys()
        made = await keys.rotate(alg, at_once=at_once)
        return _described(made, desk.clock.now())

    _print(at_desk(settings, work), as_json=as_json)


@app.command(epilog="Example: BROKER_MASTER_KEY=new,old mcp-broker keys reseal")
def reseal(*, config_file: ConfigFile = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Seal all keys and upstream tokens under the first master key, once every process runs with it; say when older ones may go."""
    from broker.login.browser import LOGIN_LIFE  # noqa: PLC0415 - imports the web framework
    from broker.upstream.vault import TokenVault  # noqa: PLC0415 - as above

    async def work(desk: Desk) -> tuple[int, tuple[int, int], int]:
        keys = await desk.keys()
        sealer = Sealer(with_master_key(desk.settings).master_keys, desk.entropy)
        tokens = await TokenVault(sealer).reseal(desk.store, now=desk.clock.now())
        return await keys.reseal(), tokens, desk.clock.now() + LOGIN_LIFE

    moved, (tokens, unreadable), free_at = at_desk(settings_from(config_file, overrides), work)
    if as_json:
        told = {"moved": moved, "moved_tokens": tokens, "unreadable_tokens": unreadable, "older_may_go_at": free_at}
        print_json(told)
    else:
        _tell_resealed(moved, tokens, free_at)
    if unreadable:
        stop(
            f"{unreadable} upstream tokens are sealed under a master key that is not in the list: add it and run this again, "
            "or their people sign in anew"
        )


def _tell_resealed(moved: int, tokens: int, free_at: int) -> None:
    typer.echo(
        f"{moved} keys and {tokens} upstream tokens were moved; all of them are sealed under the first master key now."
    )
    typer.echo(
        f"Older master keys may leave the list at {moment(free_at)}, when every login that began under them is over."
    )


def _described(keys: list[SigningKey], now: int) -> list[dict[str, Any]]:
    return [
        {
            "kid": key.kid,
            "alg": key.alg,
            "state": state(key, now).value,
            "created_at": key.created_at,
            "activates_at": key.activates_at,
            "retires_at": key.retires_at,
            "gone_at": key.gone_at,
        }
        for key in sorted(keys, key=lambda key: (key.alg, key.activates_at))
    ]


def _print(keys: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(keys)
        return
    rows = [
        (
            key["alg"],
            key["state"],
            moment(key["activates_at"]),
            moment(key["retires_at"]),
            moment(key["gone_at"]),
            key["kid"],
        )
        for key in keys
    ]
    head = ("ALGORITHM", "STATE", "SIGNS FROM", "SIGNS UNTIL", "PUBLISHED UNTIL", "KEY ID")
    print_table(rows, head=head, empty="There is no key yet: the first start of `mcp-broker serve` makes them.")
