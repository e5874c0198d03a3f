"""Environments to load settings from, and the shortest ways to say what came of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from broker.config import SettingsError, load
from broker.settings import Settings
from providers.registry import provider_types

LONG_SECRET = "a-secret-of-more-than-thirty-two-characters"
MASTER_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
LOCAL = {"BROKER_ISSUER": "http://localhost:8080"}
PRODUCTION = {"BROKER_ISSUER": "https://auth.example.com", "BROKER_MASTER_KEY": MASTER_KEY}


def load_from(
    environ: Mapping[str, str], *, toml: str | None = None, argv: Mapping[str, str] | None = None
) -> Settings:
    """Load with the provider types of this distribution; a loopback issuer unless `environ` names one."""
    raw = None if toml is None else toml.encode()
    return load(argv, {**LOCAL, **environ}, raw, provider_types())


def refused(
    environ: Mapping[str, str], *, toml: str | None = None, argv: Mapping[str, str] | None = None
) -> list[tuple[str, str, str, str]]:
    """Return setting, origin, what is wrong and its mend for every fault of settings that must not load."""
    with pytest.raises(SettingsError) as caught:
        load_from(environ, toml=toml, argv=argv)
    for fault in caught.value.faults:
        assert str(fault) in str(caught.value)
        assert fault.mend
    return [(f.setting, f.origin, f.wrong, f.mend) for f in caught.value.faults]


def only_fault(
    environ: Mapping[str, str], *, toml: str | None = None, argv: Mapping[str, str] | None = None
) -> tuple[str, str, str, str]:
    """Return the one fault."""
    faults = refused(environ, toml=toml, argv=argv)
    assert len(faults) == 1, faults
    return faults[0]
