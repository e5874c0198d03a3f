"""Merging the places that settings come from: command line, environment, provider short forms, broker.toml. First one wins.

Nothing is parsed here but structure: a path such as ("providers", "corp", "client_id") leads to what was given for it, by whom.
Names that mean nothing are refused with the nearest right one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.config.faults import Faults, Wrong, nearest
from broker.config.kinds import read_json
from broker.config.short import short_forms, short_names, switched_off, without_short_form
from broker.config.table import BROKER, Setting, group_tables, variable
from providers.base import ProviderType

Path = tuple[str, ...]
COMMAND_LINE, ENVIRONMENT = "command line", "environment"
ELSEWHERE = "remove it, or see the settings with: mcp-broker config schema"
_KUBERNETES = re.compile(r"BROKER_(SERVICE_|PORT)")  # what it injects for a service called broker
_SERVICE_LINK = re.compile(r"BROKER_.+_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_[0-9]+_(TCP|UDP)(_.+)?)")
_GROUP = re.compile(r"BROKER_(PROVIDER|RESOURCE|CLIENT)S?_+(.+)")
_ID = {
    "providers": re.compile(r"[a-z0-9][a-z0-9_-]{0,62}"),
    "resources": re.compile(r"[a-z0-9][a-z0-9_-]{0,62}"),
    "clients": re.compile(r"[a-z0-9][a-z0-9._~-]{0,127}"),
}


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was written. `name` as in its place, `origin` the place."""

    value: Any = field(repr=False)
    name: str
    origin: str


class Sources:
    """Gathers what was given, noting unknown and unusable names as faults."""

    def __init__(self, types: Mapping[str, ProviderType], faults: Faults) -> None:
        """`types` decide which short forms and options exist."""
        self._types = types
        self._tables = group_tables(types)
        self._faults = faults

    def gather(
        self, argv: Mapping[str, str], environ: Mapping[str, str], toml: bytes | None, file: str
    ) -> dict[Path, Given]:
        """Return path -> the value that counts. `file` names the TOML file in messages."""
        from_file = dict(self._from_toml(toml, file)) if toml is not None else {}
        named = {name: text for name, text in environ.items() if name.startswith("BROKER_")}
        named.pop("BROKER_CONFIG", None)
        from_environment = self._from_names(named, ENVIRONMENT)
        from_command_line = self._from_names({_full(name): text for name, text in argv.items()}, COMMAND_LINE)
        explicit = {**from_file, **from_environment, **from_command_line}
        aliases = explicit.get(("provider_aliases",))
        short: dict[Path, Given] = {}
        if not switched_off(aliases.value if aliases else None):
            for path, (name, value) in short_forms(environ, self._types).items():
                short[path] = Given(value, name, ENVIRONMENT)
            for name, long, prefix in without_short_form(environ, self._types):
                mend = f"write {long}; or set BROKER_PROVIDER_ALIASES=false if {prefix}_… belongs to another program"
                self._faults.add(name, ENVIRONMENT, "has no short form and would not be read", mend)
        return {**from_file, **short, **from_environment, **from_command_line}

    def setting(self, path: Path) -> Setting | None:
        """Return the table's entry for a path; `…_file` leads to what the file holds."""
        table = BROKER if len(path) == 1 else self._tables.get(path[0], {}) if len(path) == 3 else {}  # noqa: PLR2004 - group, id, name
        leaf = path[-1]
        held = table.get(leaf.removesuffix("_file")) if leaf.endswith("_file") else None
        return table.get(leaf) or (held if held is not None and held.has_file else None)

    def _from_toml(self, toml: bytes, file: str) -> Iterator[tuple[Path, Given]]:
        try:
            document = tomllib.loads(toml.decode("utf-8"))
        except UnicodeDecodeError:
            self._faults.add(file, "", "is not text in UTF-8", "save it as UTF-8")
            return
        except (ValueError, RecursionError) as fault:  # TOMLDecodeError, or a number or nesting beyond all measure
            at = re.search(r"\(at ([^()]+)\)\Z", str(fault))  # the rest of the message may quote the file
            where = f", at {at[1]}" if at else ""
            self._faults.add(file, "", f"is not TOML{where}", "write TOML: name = value, text in quotes")
            return
        for key, value in document.items():
            if key == "config":
                self._faults.add(
                    key, file, "cannot stand in the file that it names", "set BROKER_CONFIG or use --config"
                )
                continue
            yield from self._expanded((key,), Given(value, key, file))

    def _from_names(self, texts: Mapping[str, str], origin: str) -> dict[Path, Given]:
        given: dict[Path, Given] = {}
        for name, text in texts.items():
            if _KUBERNETES.match(name):
                continue
            path = tuple(name.removeprefix("BROKER_").lower().split("__"))
            if path == ("config",):
                self._faults.add(name, origin, "cannot be set here", "set the variable BROKER_CONFIG or use --config")
                continue
            for leaf, value in self._expanded(path, Given(text, name, origin)):
                if leaf in given:
                    self._faults.add(name, origin, f"is set twice (also as {given[leaf].name})", "remove one")
                given[leaf] = value
        return given

    def _expanded(self, path: Path, given: Given) -> Iterator[tuple[Path, Given]]:
        """Yield the known leaves of a value; a group may be a table, or JSON of one."""
        if path[0] in self._tables and len(path) < 3:  # noqa: PLR2004 - group, id, name
            yield from self._expanded_group(path, given)
        elif self.setting(path) is None:
            self._unknown(path, given)
        elif len(path) == 1 or self._id_is_plain(path, given):
            yield path, given

    def _expanded_group(self, path: Path, given: Given) -> Iterator[tuple[Path, Given]]:
        value = given.value
        try:
            if isinstance(value, str) and value.lstrip().startswith("{"):
                value = read_json(value)
        except Wrong as wrong:
            self._faults.add(given.name, given.origin, wrong.wrong, wrong.mend)
            return
        if isinstance(value, dict):
            joint = "__" if given.origin in (ENVIRONMENT, COMMAND_LINE) else "."
            for key, sub in value.items():
                name = f"{given.name}{joint}{key}"
                yield from self._expanded((*path, key), Given(sub, name, given.origin))
        elif path == ("resources",):
            yield path, given
        elif len(path) == 1:
            self._faults.add(given.name, given.origin, "is not a map", f"write {variable((*path, '<id>', '<name>'))}")
        else:
            self._unknown(path, given)

    def _id_is_plain(self, path: Path, given: Given) -> bool:
        if _ID[path[0]].fullmatch(path[1]):
            return True
        mend = "use lower-case letters, digits, - and _, starting with a letter or digit"
        self._faults.add(given.name, given.origin, "has an id that is not plain", mend)
        return False

    def _unknown(self, path: Path, given: Given) -> None:
        if given.origin in (ENVIRONMENT, COMMAND_LINE):
            if _SERVICE_LINK.fullmatch(given.name) or str(given.value).startswith(("tcp://", "udp://")):
                mend = "set enableServiceLinks: false in the pod; Kubernetes injects it for another service"
            else:
                best = self._nearest_variable(given.name)
                mend = f"write {best}" if best else ELSEWHERE
        else:
            table: Mapping[str, Any] = {**BROKER, **self._tables}
            if len(path) > 1:
                table = self._tables.get(path[0], {})
            best = nearest(path[-1], table)
            mend = f"write {best}" if best else ELSEWHERE
        self._faults.add(given.name, given.origin, "is not a setting", mend)

    def _nearest_variable(self, name: str) -> str | None:
        found = _GROUP.fullmatch(name)
        if found is not None:
            return self._nearest_leaf(found[1].lower() + "s", found[2])
        bare = name.removeprefix("BROKER_").lower()
        for group, table in self._tables.items():
            if bare in table:
                return variable((group, "<id>", bare))
        top = nearest(bare, [*BROKER, *self._tables])
        short = nearest(bare.upper(), short_names(self._types))
        return variable((top,)) if top else short

    def _nearest_leaf(self, group: str, rest: str) -> str | None:
        """Return the variable that a name with a mistyped end or single underscores most likely means."""
        words = [word for word in rest.lower().split("_") if word]
        splits = [("_".join(words[:i]), "_".join(words[i:])) for i in range(1, len(words))]
        exact = ((id_, leaf) for id_, leaf in splits if leaf in self._tables[group])
        close = ((id_, best) for id_, leaf in splits if (best := nearest(leaf, self._tables[group])))
        found = next(exact, None) or next(close, None)
        return variable((group, *found)) if found else None


def _full(name: str) -> str:
    upper = name.strip().upper()
    return upper if upper.startswith("BROKER_") else f"BROKER_{upper}"
