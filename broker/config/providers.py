"""Identity providers: each with its type's options, its issuer, and who may sign in through it. Incomplete ones are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from broker.config.faults import nearest, quoted
from broker.config.reader import Reader
from broker.config.short import short_name, short_names
from broker.config.table import PROVIDER, option_owners, provider_table, variable
from broker.protocol import web_url
from broker.settings import ProviderConfig
from providers.base import ProviderSettings, ProviderType, SpeaksFor

_INSTEAD_OF_A_SECRET = ("auth_method", "federated_token_file", "private_key")
_NEEDS = re.compile(r"\bneeds (?:a|the) ([A-Z_]+)\b")  # of a type's sentence about its settings
_RESTRICTIONS = ("allowed_domains", "allowed_groups", "allowed_orgs", "allowed_tenants", "hosted_domains")


def read_providers(reader: Reader, types: Mapping[str, ProviderType], *, loopback: bool) -> tuple[ProviderConfig, ...]:
    """Return the providers in order of their ids; every fault is noted. `loopback`: ours is a loopback issuer."""
    found = [_read(reader, types, id_, loopback=loopback) for id_ in reader.ids("providers")]
    return tuple(provider for provider in found if provider is not None)


@dataclass(frozen=True, slots=True)
class _Party:
    """One provider while it is read."""

    reader: Reader
    kind: ProviderType
    id: str
    loopback: bool

    def path(self, name: str) -> tuple[str, str, str]:
        return ("providers", self.id, name)


def _read(reader: Reader, types: Mapping[str, ProviderType], id_: str, *, loopback: bool) -> ProviderConfig | None:
    kind = _type(reader, types, id_)
    if kind is None:
        for name, setting in PROVIDER.items():  # their faults are told with the type's
            if name != "type":
                reader.read(("providers", id_, name), setting)
        return None
    reader.derive(("providers", id_, "type"), kind.name, "the id")
    party = _Party(reader, kind, id_, loopback)
    values = _values(party, types)
    options = {name: str(values[name]) for name in sorted(kind.options) if values.get(name) is not None}
    derived = kind.issuer_from(options) if kind.issuer_from else None
    issuer = _issuer(party, values["issuer"], derived)
    told = _require(party, values, derived)
    if issuer is not None:
        reader.derive(party.path("issuer"), issuer, "the other options")
    if is_open(kind, values, options, issuer) and not values["allow_anyone"]:
        _tell_open(party)
    _check_domains(party, values)
    gives = _given(party, values, options)
    if issuer is None or values["client_id"] is None or values["timeout"] is None or values["recheck_interval"] is None:
        return None
    adapter = ProviderSettings(
        id=id_,
        type=kind.name,
        display_name=values["display_name"] or id_,
        issuer=issuer,
        client_id=values["client_id"],
        client_secret=values["client_secret"],
        scopes=values["scopes"],
        ca_file=values["ca_file"],
        proxy=values["proxy"],
        timeout=float(values["timeout"]),
        recheck_interval=values["recheck_interval"],
        loopback=loopback,
        options=options,
    )
    for sentence in kind.faults(adapter):
        name, _, wrong = sentence.partition(" ")
        if name.lower() not in told:
            reader.refuse(party.path(name.lower()), wrong, _mend(party, name.lower(), wrong, types))
    return ProviderConfig(
        adapter=adapter,
        allowed_domains=values["allowed_domains"],
        allowed_groups=values["allowed_groups"],
        email_domains=values["email_domains"],
        acr_map=values["acr_map"] or {},
        identity_namespace=values["identity_namespace"] or "",
        allow_anyone=bool(values["allow_anyone"]),
        stale_limit=values["stale_limit"] or 0,
        logout_ends_grants=values["logout_ends"] != "sessions",
        enabled_by=_enabled_by(party),
        gives=gives,
        speaks_for=kind.speaks_for,
    )


def _mend(party: _Party, name: str, wrong: str, types: Mapping[str, ProviderType]) -> str:
    """Return what to do about a fault of a setting: it is to be set where it is missing, and where it needs another, that one."""
    missing, needed = wrong.startswith("is missing"), _NEEDS.search(wrong)
    setting = provider_table(types).get(name if missing else needed[1].lower() if needed else "")
    if setting is None:
        return "change it, or remove it for the default"
    full = variable(party.path(setting.name))
    return f"set {full}{f' or {full}_FILE' if setting.has_file else ''}{'' if missing else ', or change this one'}"


def _type(reader: Reader, types: Mapping[str, ProviderType], id_: str) -> ProviderType | None:
    path = ("providers", id_, "type")
    name = reader.read(path, PROVIDER["type"])
    if name is None and reader.given(path) is not None:
        return None
    if (name or id_) in types:
        return types[name or id_]
    known = ", ".join(sorted(types))
    if name is None:
        reader.faults.missing(variable(path), f"set it to one of {known}")
    else:
        reader.refuse(path, f"is {quoted(name)}", f"write {nearest(name, types) or f'one of {known}'}")
    return None


def is_open(kind: ProviderType, values: Mapping[str, Any], options: Mapping[str, str], issuer: str | None) -> bool:
    """Whether strangers can sign in through a provider with these options and issuer, and none of `values` restricts it."""
    known = {**options, "issuer": issuer or ""}
    is_public = kind.open_to_anyone(known) if callable(kind.open_to_anyone) else kind.open_to_anyone
    return is_public and not any(values.get(name) for name in _RESTRICTIONS)


def _restriction(kind: ProviderType) -> str:
    """Return the setting that says best who may sign in through a type that is open to strangers: its own where it has one."""
    return next((name for name in _RESTRICTIONS if name in kind.options), "allowed_groups")


def _check_domains(party: _Party, values: Mapping[str, Any]) -> None:
    """Refuse domains of which no address ever counts: whom the provider does not speak for is barred, and so would be everybody."""
    allowed, spoken_for = values["allowed_domains"], values["email_domains"]
    if not allowed or (spoken_for is None and party.kind.speaks_for is SpeaksFor.VERIFIED):
        return
    if set(allowed).isdisjoint(spoken_for or ()):
        name = variable(party.path("email_domains"))
        wrong = (
            f"lets nobody in: of {party.kind.name}'s addresses only those in {name} count, and it holds none of these"
        )
        party.reader.refuse(party.path("allowed_domains"), wrong, f"set {name} too, where these domains are yours")


def _tell_open(party: _Party) -> None:
    name = variable(party.path("allow_anyone"))
    party.reader.faults.add_unsafe(
        name,
        "",
        f"anyone on the internet could sign in: providers of type {party.kind.name} are open and nothing restricts this one",
        f"restrict it, for example with {variable(party.path(_restriction(party.kind)))}, or set {name}=true",
    )


def _given(party: _Party, values: Mapping[str, Any], options: Mapping[str, str]) -> frozenset[str]:
    """Return what this provider tells as it is set up; refuse groups that it never tells: they would let nobody in."""
    withheld = party.kind.withholds(options)
    gives = party.kind.gives - withheld.keys()
    if values["allowed_groups"] and "group" not in gives:
        wrong = f"lets nobody in: {party.kind.name} tells no groups as it is set up here"
        needed = withheld.get("group")
        mend = f"set {variable(party.path(needed))}" if needed else "set the provider up to tell them"
        party.reader.refuse(party.path("allowed_groups"), wrong, f"{mend} (providers/README.md), or remove it")
    return gives


def _values(party: _Party, types: Mapping[str, ProviderType]) -> dict[str, Any]:
    """Read every setting that this type takes; refuse those of other types and of later versions."""
    reader, kind = party.reader, party.kind
    owners = option_owners(types)
    values = {}
    for name, setting in provider_table(types).items():
        path = party.path(name)
        if name in owners and name not in kind.options and name not in PROVIDER:
            if reader.given(path) is not None:
                wrong = f"is for providers of type {' or '.join(owners[name])}, and this one is of type {kind.name}"
                reader.refuse(path, wrong, "remove it, or change the type")
        elif name != "type":
            short = short_name(kind, name) if party.id == kind.name else None
            values[name] = reader.read(path, setting, credential=short.lower() if short else None)
    return values


def _issuer(party: _Party, given: str | None, derived: str | None) -> str | None:
    path = party.path("issuer")
    if given is not None and derived is not None and given != derived:
        party.reader.refuse(path, f"is not {quoted(derived)}, which the other options say", "remove one of the two")
        return None
    issuer = given or derived
    if issuer is None:
        return None
    url = web_url.parse(issuer)
    if url is None or url.query is not None:
        party.reader.refuse(
            path, f"is {quoted(issuer)}, which is no issuer", "write https://host/path, without a query"
        )
        return None
    if url.scheme == "http" and not (url.loopback and party.loopback):
        mend = "write https; http works only on loopback, where BROKER_ISSUER is on loopback too"
        party.reader.refuse(path, f"is {quoted(issuer)}, which is not encrypted", mend)
        return None
    return issuer


def _require(party: _Party, values: Mapping[str, Any], derived: str | None) -> set[str]:
    """Refuse an incomplete provider, in the words of the form that it was written in; return what it lacks."""
    reader, kind = party.reader, party.kind
    shorts = set(short_names({kind.name: kind}))
    written = sorted(given.name for given in reader.under("providers", party.id) if given.name in shorts)

    def spell(name: str) -> str:
        return (short_name(kind, name) if written else None) or variable(party.path(name))

    lacks: set[str] = set()
    otherwise = any(values.get(option) for option in _INSTEAD_OF_A_SECRET)
    for name in ("issuer", "client_id", "client_secret") if written and not otherwise else ("issuer", "client_id"):
        known = values[name] is not None or (name == "issuer" and derived is not None)
        if known or reader.given(party.path(name)) is not None:
            continue
        others = [spell(option) for option in _issuer_options(kind)] if name == "issuer" else []
        mend = f"set it, or {' and '.join(others)}" if others else "set it"
        if written:
            mend += f"; or set BROKER_PROVIDER_ALIASES=false if {kind.env_prefix}_… belongs to another program"
        reader.faults.add(
            spell(name), "", f"is missing, while {', '.join(written)} is set" if written else "is missing", mend
        )
        lacks.add(name)
    return lacks


def _issuer_options(kind: ProviderType) -> tuple[str, ...]:
    """Return the fewest options that this type derives an issuer from, found by asking it."""
    if kind.issuer_from is None:
        return ()
    sets = (chosen for size in (1, 2) for chosen in combinations(sorted(kind.options, reverse=True), size))
    return next((s for s in sets if kind.issuer_from(dict.fromkeys(s, "https://idp.example.com"))), ())


def _enabled_by(party: _Party) -> str:
    """Return the setting that says most about why this provider is there, and its place."""
    given = [party.reader.given(party.path(name)) for name in ("issuer", *_issuer_options(party.kind), "type")]
    first = next((g for g in given if g is not None), None) or party.reader.under("providers", party.id)[0]
    return f"{first.name} ({first.origin})"
