"""The kinds of values that settings have: text from the environment or typed TOML in, checked values out.

A kind refuses with a `Wrong` and also says what it accepts as JSON Schema. Kinds of what may hold a secret never quote the value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.config.faults import Wrong, nearest, quoted
from broker.model import Requirement
from broker.settings import DAY, HOUR, MINUTE, Rate

Schema = Mapping[str, Any]
_UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY}
_LONGEST = 3660 * DAY
_DURATION = re.compile(r"([0-9]{1,12})([smhd]?)")
_RATE = re.compile(r"([0-9]{1,9})/([smhd])")
_IPV6 = re.compile(r"\[[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]")  # begins an address, not JSON
_INTEGER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Kind:
    """How one sort of value is read. `parse` raises Wrong; `many`: a list or map, for which empty is suspicious (rule G16)."""

    parse: Callable[[Any], Any]
    schema: Schema
    many: bool = False
    example: str = field(default="", kw_only=True)


def as_text(value: Any) -> str:
    """Return text that is not empty and has no control character."""
    if not isinstance(value, str):
        raise Wrong("is not text", "write it as text, in quotes in a file")
    if not value.strip():
        raise Wrong("is empty", "give it a value or remove it")
    if not value.isprintable():
        raise Wrong("holds a control character or a line break", "write it on one line")
    return value


def _option(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return json.dumps(as_list(value), ensure_ascii=False)  # adapters read a list as JSON, or with commas
    return str(value) if isinstance(value, int) else as_text(value)


def _pem(value: Any) -> str:
    """Return text that may have line breaks: a key or certificate, or the name of its file."""
    if isinstance(value, str) and value.strip():
        as_text(" ".join(value.split()))
        return value
    return as_text(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = as_text(value).strip().lower()
    if word not in ("true", "false"):
        raise Wrong(f"is {quoted(word)}", "write true or false")
    return word == "true"


def duration(*, least: int = 1, why: str = "") -> Kind:
    """Return the kind of a time span, `least` seconds or longer; `why` not shorter, as the end of a sentence."""
    shortest = f"{least // DAY}d" if least and least % DAY == 0 else f"{least} seconds"

    def parse(value: Any) -> int:
        mend = "write whole seconds, or 90s, 15m, 12h or 30d"
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        found = _DURATION.fullmatch(as_text(value).strip())
        if found is None:
            raise Wrong(f"is {quoted(value)}, which is no time span", mend)
        seconds = int(found[1]) * _UNITS[found[2] or "s"]
        if not least <= seconds <= _LONGEST:
            raise Wrong(f"is {seconds} seconds", f"write at least {shortest}{why} and at most 3660d")
        return seconds

    text = {"type": "string", "pattern": "^[0-9]{1,12}[smhd]?$"}
    return Kind(parse, {"anyOf": [{"type": "integer", "minimum": least}, text]}, example="15m")


def integer(least: int, most: int) -> Kind:
    """Return the kind of a whole number between `least` and `most`."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not (isinstance(value, int) or _INTEGER.fullmatch(as_text(value).strip())):
            raise Wrong("is not a whole number", f"write a number from {least} to {most}")
        number = int(value)
        if not least <= number <= most:
            raise Wrong(f"is {number}", f"write a number from {least} to {most}")
        return number

    whole = {"type": "integer", "minimum": least, "maximum": most}
    return Kind(parse, {"anyOf": [whole, {"type": "string", "pattern": "^[0-9]+$"}]}, example=str(least))


def choice(*words: str) -> Kind:
    """Return the kind that is one of these words."""

    def parse(value: Any) -> str:
        word = as_text(value).strip()
        if word not in words:
            close = nearest(word.lower(), [w.lower() for w in words])
            best = next((w for w in words if w.lower() == close), None)
            raise Wrong(f"is {quoted(word)}", f"write {best}" if best else f"write one of {', '.join(words)}")
        return word

    return Kind(parse, {"enum": list(words)}, example=words[0])


def _rate(value: Any) -> Rate:
    found = _RATE.fullmatch(as_text(value).strip())
    if found is None or int(found[1]) < 1:
        raise Wrong(f"is {quoted(value)}, which is no rate", "write how many in which time, such as 100/h or 5/m")
    return Rate(int(found[1]), _UNITS[found[2]])


def read_json(text: str) -> Any:
    """Return what a JSON text says; a repeated member is refused; raises Wrong without quoting."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise Wrong("is JSON with a repeated member", "name each member once")
        return members

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as fault:
        raise Wrong(f"is not JSON (line {fault.lineno}, column {fault.colno})", "write valid JSON") from None
    except Wrong:
        raise
    except (ValueError, RecursionError):  # a number of thousands of digits, or thousands of brackets
        raise Wrong("is JSON beyond all measure", "write a plain value") from None


def as_list(value: Any) -> tuple[str, ...]:
    """Return the items of a list: TOML, JSON, or separated by commas; each once, in order. Raises Wrong without quoting."""
    if isinstance(value, str) and value.lstrip().startswith("[") and not _IPV6.match(value.lstrip()):
        value = read_json(value)
    elif isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(part, str) and part.isprintable() for part in value):
        raise Wrong("is not a list of texts", "separate the items by commas, or write a JSON list of strings")
    return tuple(dict.fromkeys(value))


def listed(item: Callable[[str], str] = as_text, *, example: str = "one,two") -> Kind:
    """Return the kind of a list whose items `item` checks and returns."""
    schema = {"anyOf": [{"type": "array", "items": {"type": "string"}, "uniqueItems": True}, {"type": "string"}]}
    return Kind(lambda value: tuple(item(part) for part in as_list(value)), schema, many=True, example=example)


def _conditions(value: Any) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else list(as_list(value))
    if not items:
        raise Wrong("is an empty list, which would hold for everybody", "name at least one value, or remove it")
    return tuple(as_text(part) for part in items)


def as_map(value: Any) -> dict[str, str]:
    """Return a map of texts: a TOML table or a JSON object; raises Wrong without quoting."""
    if isinstance(value, str):
        value = read_json(value)
    if not isinstance(value, dict) or not all(isinstance(v, str) and v.isprintable() for v in value.values()):
        raise Wrong("is not a map of texts", 'write a JSON object such as {"name": "words"}, or a table in the file')
    return value


def _policy(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str):
        value = read_json(value)
    if not isinstance(value, list) or not all(isinstance(rule, dict) for rule in value):
        raise Wrong("is not a list of rules", 'write a JSON list such as [{"group": "staff"}], or [[policy]] tables')
    return value


def _json_object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        value = read_json(value)
    if not isinstance(value, dict):
        raise Wrong("is not a JSON object", "write a JSON object")
    return value


def _require(value: Any) -> Requirement:
    parts = {"acr": CONDITIONS, "max_login_age": duration()}
    read = {}
    for name, given in _json_object(value).items():
        if name not in parts:
            close = nearest(name, parts)
            mend = f"write {close}" if close else 'write {"acr": "…", "max_login_age": "12h"}, or one of the two'
            raise Wrong(f"has {quoted(name)}, which is nothing that can be required", mend)
        try:
            read[name] = parts[name].parse(given)
        except Wrong as wrong:
            raise Wrong(f"has {name}, which {wrong.wrong}", wrong.mend) from None
    if not read:
        raise Wrong("requires nothing", 'write {"acr": "…", "max_login_age": "12h"}, or remove it')
    return Requirement(acr=read.get("acr", ()), max_login_age=read.get("max_login_age"))


_STRINGS: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}

TEXT = Kind(as_text, {"type": "string", "minLength": 1}, example="text")
OPTION = Kind(
    _option,
    {"anyOf": [{"type": ["string", "boolean", "integer"]}, {"type": "array", "items": {"type": "string"}}]},
    example="text",
)
PEM = Kind(_pem, {"type": "string", "minLength": 1}, example="/etc/broker/key.pem")
BOOLEAN = Kind(_boolean, {"anyOf": [{"type": "boolean"}, {"enum": ["true", "false"]}]}, example="true")
RATE = Kind(_rate, {"type": "string", "pattern": "^[0-9]+/[smhd]$"}, example="100/h")
LIST = listed()
CONDITIONS = Kind(_conditions, {"anyOf": [{"type": "string", "minLength": 1}, _STRINGS]}, example='["one", "two"]')
MAP = Kind(
    as_map, {"type": "object", "additionalProperties": {"type": "string"}}, many=True, example='{"name": "words"}'
)
REQUIRE = Kind(
    _require,
    {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {"acr": CONDITIONS.schema, "max_login_age": duration().schema},
    },
    example='{"acr": "mfa", "max_login_age": "12h"}',
)
JSON_OBJECT = Kind(_json_object, {"type": "object"}, example="{}")
RULES = Kind(_policy, {"type": "array", "items": {"type": "object"}}, many=True, example='[{"group": "staff"}]')
