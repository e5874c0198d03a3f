"""Whatever is written as settings, the answer is settings or a list of faults, never another failure."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.config import SettingsError, examine, load
from broker.config.table import BROKER, CLIENT, GROUPS, POLICY, RESOURCE
from providers.registry import provider_types
from tests.broker.settings_input import LOCAL, PRODUCTION

TYPES = provider_types()
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=30)
    | st.sampled_from(
        [
            "",
            "https://a.example",
            "http://localhost:1",
            "5m",
            "true",
            "a,b",
            "[]",
            "{}",
            "env:X",
            "file:/",
            "oidc",
            "keycloak",
            "mcp",
        ]
    )
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def table_of(names: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(sorted(names)) | st.text(max_size=6), values, max_size=6)


ids = st.sampled_from(["a", "oidc", "keycloak", "files", "A b", "", "u_x"])
documents = st.fixed_dictionaries(
    {},
    optional={
        **{name: values for name in BROKER if name != "config"},
        **{
            group: st.dictionaries(ids, table_of(names) | values, max_size=2) | values
            for group, names in GROUPS.items()
        },
        "policy": st.lists(table_of(POLICY), max_size=3) | values,
        "resources": st.dictionaries(ids, table_of(RESOURCE), max_size=2) | values,
        "clients": st.dictionaries(ids, table_of(CLIENT), max_size=2) | values,
    },
)


@settings(deadline=None)
@given(document=documents, base=st.sampled_from([LOCAL, PRODUCTION, {}]))
def test_any_environment_loads_or_is_refused(document: dict[str, Any], base: dict[str, str]) -> None:
    environ = {
        f"BROKER_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in document.items()
    }
    with contextlib.suppress(SettingsError):
        load(None, {**base, **environ}, None, TYPES)


def as_toml(value: Any) -> str:
    """Return a value in TOML; null has no form there."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    return '"null"' if value is None else json.dumps(value)


@settings(deadline=None)
@given(document=documents, base=st.sampled_from([LOCAL, PRODUCTION, {}]))
def test_any_file_loads_or_is_refused(document: dict[str, Any], base: dict[str, str]) -> None:
    toml = "".join(f"{json.dumps(name)} = {as_toml(value)}\n" for name, value in document.items())
    with contextlib.suppress(SettingsError):
        examine(None, base, toml.encode("utf-8", "replace"), TYPES)


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000, "[" * 5000 + "]" * 5000, '{"a":' * 5000], ids=len)
@pytest.mark.parametrize("name", ["policy", "trusted_proxies", "drain", "clients"])
def test_values_beyond_all_measure_are_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError):
        load({name: value}, LOCAL, None, TYPES)
    with pytest.raises(SettingsError):
        load(None, LOCAL, f"{name} = {value}".encode(), TYPES)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_as_a_file_load_or_are_refused(raw: bytes) -> None:
    with contextlib.suppress(SettingsError):
        load(None, LOCAL, raw, TYPES)


@settings(deadline=None)
@given(name=st.text(max_size=30), value=st.text(max_size=30))
def test_any_variable_loads_or_is_refused(name: str, value: str) -> None:
    with contextlib.suppress(SettingsError):
        load({name: value}, {**LOCAL, f"BROKER_{name}": value, f"OIDC_{name.upper()}": value}, None, TYPES)
