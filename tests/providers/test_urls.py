"""Which URLs an adapter will use (security rule B7)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.urls import is_endpoint


@pytest.mark.parametrize(
    "url", ["https://idp.example", "https://idp.example:8443/a?b=c", "https://[2001:db8::1]/", "https://127.0.0.1/"]
)
def test_https_is_used_everywhere(url: str) -> None:
    """Security rule B7."""
    assert is_endpoint(url, loopback=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/a", "http://localhost", "http://[::1]:1/"])
def test_http_is_used_on_this_machine_in_development(url: str) -> None:
    """Architecture, section 7: `http` only on loopback with a loopback issuer."""
    assert is_endpoint(url, loopback=True)
    assert not is_endpoint(url, loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example",
        "http://127.0.0.1.evil.example/",
        "http://localhost@evil.example/",
        "https://user:secret@idp.example/",
        "https://@idp.example/",
        "https://idp.example/#fragment",
        "https://idp.example/#",
        "https://",
        "https:///path",
        "https://idp.example:99999/",
        "https://idp.example:x/",
        "https://[::1/",
        "https:\\\\idp.example",
        "https://idp.example/\r\nx: y",
        "https://idp.example/ space",
        "https://ïdp.example/",
        "//idp.example/",
        "/relative",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://idp.example/" + "a" * 2048,
        "",
        None,
        7,
        ["https://idp.example"],
    ],
    ids=lambda url: str(url)[:40],
)
def test_everything_else_is_refused(url: Any) -> None:
    """Security rule B7: clear text, credentials, fragments, control characters, other schemes."""
    assert not is_endpoint(url, loopback=True)


@given(st.text() | st.text(alphabet="htps:/@[]#?127.0:localhost\\").map("http".__add__))
def test_no_text_makes_the_judgement_fail(url: str) -> None:
    """A refusal is an answer, not an exception."""
    assert is_endpoint(url, loopback=True) in (True, False)
