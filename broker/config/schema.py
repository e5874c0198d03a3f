"""JSON Schema (2020-12) of broker.toml for editors, generated from the table that the loader reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.config.table import BROKER, POLICY, RESOURCE_URLS, Setting, group_tables
from providers.base import ProviderType

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(types: Mapping[str, ProviderType]) -> dict[str, Any]:
    """Return the schema; `types` are the provider types whose options it allows."""
    properties = _properties({name: setting for name, setting in BROKER.items() if name != "config"})
    for group, table in group_tables(types).items():
        properties[group] = {"type": "object", "additionalProperties": _object(table)}
    properties["resources"] = {"anyOf": [properties["resources"], _property(RESOURCE_URLS)]}
    properties["providers"]["additionalProperties"]["properties"]["type"]["enum"] = sorted(types)
    properties["policy"] = {**properties["policy"], "items": _object(POLICY)}
    return {
        "$schema": DIALECT,
        "title": "broker.toml",
        "description": "Settings of mcp-federation-broker. The variable of a key is BROKER_ and the key in upper case, __ between tables.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _object(table: Mapping[str, Setting]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": _properties(table)}


def _properties(table: Mapping[str, Setting]) -> dict[str, Any]:
    properties = {}
    for name, setting in table.items():
        properties[name] = _property(setting)
        if setting.has_file and not setting.later:
            properties[f"{name}_file"] = {
                "type": "string",
                "minLength": 1,
                "description": f"The file that holds {name}; instead of it.",
            }
    return properties


def _property(setting: Setting) -> dict[str, Any]:
    if setting.later:
        return {"not": {}, "description": f"{setting.help} Not supported by this version."}
    words = f"{setting.help} Also keyring:service/name, file:/path or env:NAME." if setting.secret else setting.help
    return {
        **setting.kind.schema,
        "description": words,
        **({} if setting.default is None else {"default": setting.default}),
        "examples": [setting.kind.example],
    }
