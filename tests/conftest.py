"""Shared by every test: the event loop, and a guard that refuses every socket that leaves this machine."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("shared", deadline=None)  # two shared cores say nothing about how long an example takes
settings.load_profile("shared")

# The adapters' contract suite explains its asserts like a test module; it is told here, before anything imports it.
_PARTS = (
    *("discovery", "id_token", "keys", "response", "token", "userinfo"),
    *("client_auth", "diagnosis", "ending", "logout", "refresh", "revocation"),
)
pytest.register_assert_rewrite("tests.providers.case", *(f"tests.providers.contract_{part}" for part in _PARTS))

_connect = socket.socket.connect
_connect_ex = socket.socket.connect_ex


def _refuse_strangers(address: Any) -> None:
    if not isinstance(address, tuple):
        return  # a unix socket
    host = address[0]
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise RuntimeError(f"a test tried to reach {host}: mock it")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that dials anything but loopback, instead of dialling."""

    def connect(self: socket.socket, address: Any) -> None:
        _refuse_strangers(address)
        _connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_strangers(address)
        return _connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, as in production."""
    return "asyncio"
