"""Reading one setting: which value counts, where it came from, resolved if it is a secret, parsed by its kind, and remembered for show.

A fault is noted and the reading goes on, so that all faults are reported together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from broker.config.faults import Faults, Wrong
from broker.config.kinds import as_list
from broker.config.places import DATABASE, shown_database
from broker.config.policy_file import named_file, read_policy_file
from broker.config.sources import COMMAND_LINE, ENVIRONMENT, Given, Path
from broker.config.table import Setting, variable
from broker.secret_source import SecretUnavailable, credential_file, is_reference, read_file, resolve

MASK = "***"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting as `config show` prints it: `value` as written, masked where secret, None when not set."""

    name: str
    value: str | None
    origin: str


class Reader:
    """Reads settings out of what was given."""

    def __init__(self, given: Mapping[Path, Given], environ: Mapping[str, str], faults: Faults) -> None:
        """`environ` is where `env:` references and systemd's credential directory are looked up."""
        self.faults = faults
        self.files: list[FilePath] = []  # that were read instead of a value
        self._given = given
        self._environ = environ
        self._entries: dict[str, Entry] = {}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every setting that was read, in that order."""
        return tuple(self._entries.values())

    def ids(self, group: str) -> list[str]:
        """Return the ids under which something was given in a group, in the order of their names."""
        return sorted({path[1] for path in self._given if path[0] == group and len(path) > 1})

    def under(self, group: str, id_: str) -> list[Given]:
        """Return everything that was given under one id of a group."""
        return [given for path, given in self._given.items() if path[:2] == (group, id_)]

    def given(self, path: Path) -> Given | None:
        """Return what was given for a setting, its `…_file` form included."""
        return self._given.get(path) or self._given.get((*path[:-1], f"{path[-1]}_file"))

    def place(self, path: Path) -> tuple[str, str]:
        """Return a setting's name and origin for a message."""
        given = self.given(path)
        return (given.name, given.origin) if given else (variable(path), "")

    def read(self, path: Path, setting: Setting, *, credential: str | None = None) -> Any:
        """Return a setting's parsed value, else its parsed default, else None; None as well after a fault.

        `credential` is a second name under which systemd or a container may provide a secret as a file.
        """
        given = self._given.get(path)
        if setting.later:
            self._refuse_later(path)
            return None
        if setting.filed:
            given = self._filed(path)
        elif setting.secret:
            given = self._secret(path, setting, (variable(path).lower(), credential))
        if given is None:
            if self.given(path) is None:
                self._remember(path, setting, setting.default, DEFAULT)
            return None if setting.default is None or self.given(path) else setting.kind.parse(setting.default)
        try:
            value = setting.kind.parse(given.value)
        except Wrong as wrong:
            self.faults.add(given.name, given.origin, wrong.wrong, wrong.mend)
            return None
        if setting.kind.many and not value:
            mend = "remove it, or put something into it"
            self.faults.add_unsafe(given.name, given.origin, "is there but empty", mend)
        written = f"{given.origin} ({given.name})" if given.name != variable(path) else given.origin
        self._remember(path, setting, given.value, written)
        return value

    def derive(self, path: Path, value: str, source: str) -> None:
        """Remember for show that a setting that was not given follows from others. Never called with a secret."""
        if self.given(path) is None:
            self._entries[variable(path)] = Entry(variable(path), value, source)

    def refuse(self, path: Path, wrong: str, mend: str) -> None:
        """Note a fault of a setting."""
        name, origin = self.place(path)
        self.faults.add(name, origin, wrong, mend)

    def _refuse_later(self, path: Path) -> None:
        given = self.given(path)
        if given is not None:
            self.faults.add(given.name, given.origin, "is not supported by this version", "remove it")

    def _filed(self, path: Path) -> Given | None:
        """Return what was given, out of the file that it names where it names one; None when nothing was, or after a fault."""
        if self._set_twice(path):
            return None
        given, by_file = self._given.get(path), self._given.get((*path[:-1], f"{path[-1]}_file"))
        named = by_file.value if by_file else named_file(given.value) if given else None
        place = by_file or given
        if named is None or place is None:
            return given
        file = FilePath(str(named))
        self.files.append(file)
        try:
            return Given(read_policy_file(file), place.name, f"{place.origin}, file {file}")
        except Wrong as wrong:
            self.faults.add(place.name, place.origin, wrong.wrong, wrong.mend)
            return None

    def _set_twice(self, path: Path) -> bool:
        given, by_file = self._given.get(path), self._given.get((*path[:-1], f"{path[-1]}_file"))
        if given is None or by_file is None:
            return False
        wrong = f"is set, and {by_file.name} ({by_file.origin}) is set too"
        self.faults.add(given.name, given.origin, wrong, "keep one of the two")
        return True

    def _secret(self, path: Path, setting: Setting, credentials: tuple[str | None, ...]) -> Given | None:
        """Return the secret itself as the given value, wherever it is kept; None when there is none or after a fault."""
        if self._set_twice(path):
            return None
        given, by_file = self._given.get(path), self._given.get((*path[:-1], f"{path[-1]}_file"))
        try:
            if by_file is not None:
                file = FilePath(str(by_file.value))
                return Given(read_file(file), by_file.name, f"{by_file.origin}, file {file}")
            files = (credential_file(name, self._environ) for name in credentials if name)
            provided = next((file for file in files if file is not None), None)
            # A credential stands for the variable whose name it has, and so wins over the settings file.
            if given is not None and (provided is None or given.origin in (ENVIRONMENT, COMMAND_LINE)):
                return self._resolved(setting, given)
            return None if provided is None else Given(read_file(provided), variable(path), f"file {provided}")
        except SecretUnavailable as fault:
            place = by_file or given
            name, origin = (place.name, place.origin) if place else (variable(path), "credential file")
            self.faults.add(name, origin, fault.wrong, fault.mend)
            return None

    def _resolved(self, setting: Setting, given: Given) -> Given:
        many = setting.kind.many
        try:
            parts = as_list(given.value) if many else (given.value,)
        except Wrong:
            return given  # the kind refuses it in the same words
        references = [part for part in parts if isinstance(part, str) and is_reference(part)]
        if given.origin == COMMAND_LINE and len(references) < len(parts) and _display(setting, given.value) == MASK:
            raise SecretUnavailable(
                "is a secret on the command line, where every process of this machine can read it",
                "use the environment, the …_FILE form, or a reference such as file:/path",
            )
        if not references:
            return given
        resolved = [resolve(part, self._environ) if isinstance(part, str) else part for part in parts]
        origin = f"{given.origin}, {', '.join(references)}"
        return Given(",".join(resolved) if many else resolved[0], given.name, origin)

    def _remember(self, path: Path, setting: Setting, value: Any, origin: str) -> None:
        shown = None if value is None else _display(setting, value)
        self._entries[variable(path)] = Entry(variable(path), shown, origin)


def _display(setting: Setting, value: Any) -> str:
    if setting.kind is DATABASE and isinstance(value, str):
        return shown_database(value)
    if setting.secret:
        return MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)
