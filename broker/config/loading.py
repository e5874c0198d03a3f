"""The settings, from the command line, the environment, broker.toml and defaults, in that order. All faults are reported at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from broker.config.admins import read_admins
from broker.config.clients import read_clients
from broker.config.faults import Faults, SettingsError
from broker.config.policy import ambiguous_users, read_policy, unheard_addresses, unmet_demands, unmet_rules
from broker.config.providers import read_providers
from broker.config.reader import Entry, Reader
from broker.config.resources import find, read_resources
from broker.config.safety import check_listeners, check_master_key, note_warnings
from broker.config.sources import Sources
from broker.config.table import BROKER
from broker.model import Resource
from broker.secret_source import Secret
from broker.settings import LOOPBACK_HOSTS, Settings
from providers.base import ProviderType

_HOST = re.compile(r"https?://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]+)", re.IGNORECASE)
DEFAULT_FILE = "broker.toml"
_BUILT_APART = (
    *("config", "policy", "provider_aliases", "master_key", "database_url"),
    *("dcr_token", "default_resource", "admin_groups"),
)


@dataclass(frozen=True, slots=True)
class Examined:
    """Settings with what an administrator asks about them.

    `entries`: each value with its origin; `unmet`: rules and demands that can never hold; `files`: what the rules were read from
    beside the settings file.
    """

    settings: Settings
    entries: tuple[Entry, ...]
    unmet: tuple[str, ...]
    files: tuple[Path, ...] = ()


def load(
    argv: Mapping[str, str] | None,
    environ: Mapping[str, str],
    toml: bytes | None,
    provider_types: Mapping[str, ProviderType],
) -> Settings:
    """Return the settings.

    Parameters: `argv` maps settings named on the command line (with or without BROKER_) to their text; `environ` is the
    environment; `toml` the bytes of broker.toml, which `environ` may name as BROKER_CONFIG for messages; `provider_types` what
    the registry knows. Raises SettingsError, whose message lists every fault (architecture, section 7).
    """
    return examine(argv, environ, toml, provider_types).settings


def examine(
    argv: Mapping[str, str] | None,
    environ: Mapping[str, str],
    toml: bytes | None,
    provider_types: Mapping[str, ProviderType],
) -> Examined:
    """Return the settings and where each came from; takes and raises what `load` does."""
    faults = Faults()
    file = environ.get("BROKER_CONFIG") or DEFAULT_FILE
    given = Sources(provider_types, faults).gather(argv or {}, environ, toml, file)
    reader = Reader(given, environ, faults)
    values = {
        name: reader.read((name,), setting) for name, setting in BROKER.items() if name not in ("config", "policy")
    }
    if values["issuer"] is None and reader.given(("issuer",)) is None:
        faults.missing("BROKER_ISSUER", "set it to the broker's public URL, such as https://auth.example.com")
    host = _host(reader)
    loopback = host is None or host in LOOPBACK_HOSTS
    providers = read_providers(reader, provider_types, loopback=loopback)
    resources = read_resources(reader, issuer=values["issuer"], loopback=loopback)
    schemes = values["redirect_schemes"] or ()
    clients = read_clients(reader, schemes=schemes, resources=resources, loopback=loopback)
    policy = read_policy(reader, providers=tuple(reader.ids("providers")), resources=resources)
    default = _default_resource(reader, values["default_resource"], resources)
    admins = read_admins(
        reader, values["admin_groups"], debug_login=bool(values["debug_login"]), providers=reader.ids("providers")
    )
    check_master_key(reader, values["master_key"], values["database_url"])
    check_listeners(reader, values["bind"], values["admin_bind"])
    if not loopback:
        faults.found += faults.unsafe
    if faults.found:
        raise SettingsError(faults.found)
    unmet = [
        *unmet_rules(policy, providers),
        *unheard_addresses(policy, providers),
        *unmet_demands(resources, providers),
    ]
    faults.warnings += ambiguous_users(policy, providers)
    note_warnings(faults, values, providers, len(resources), loopback=loopback)
    plain = {name: value for name, value in values.items() if name not in _BUILT_APART and not BROKER[name].later}
    settings = Settings(
        **{name: value for name, value in plain.items() if value is not None},
        database_url=Secret(values["database_url"]),
        master_keys=values["master_key"] or (),
        dcr_token=Secret(values["dcr_token"]) if values["dcr_token"] else None,
        providers=providers,
        resources=resources,
        clients=clients,
        policy=policy,
        default_resource=default,
        admin_groups=admins,
        origins={entry.name: entry.origin for entry in reader.entries},
        warnings=(*faults.warnings, *unmet),
    )
    return Examined(settings, reader.entries, tuple(unmet), tuple(reader.files))


def _host(reader: Reader) -> str | None:
    """Return the issuer's host as far as it can be told, so that an unusable issuer does not hide what is unsafe."""
    given = reader.given(("issuer",))
    found = _HOST.match(str(given.value)) if given else None
    return found["host"].strip("[]").lower() if found else None


def _default_resource(reader: Reader, named: str | None, resources: tuple[Resource, ...]) -> str | None:
    found = find(resources, named) if named else None
    if named and found is None:
        known = ", ".join(r.id for r in resources) or "none is configured"
        reader.refuse(("default_resource",), "names no configured resource", f"write an id or URL of: {known}")
    return found.url if found else None
