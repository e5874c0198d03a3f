"""http and https URLs, read in one way or not at all."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol import web_url


@pytest.mark.parametrize(
    ("text", "port", "target", "authority"),
    [
        ("https://client.example", 443, "/", "client.example"),
        ("http://localhost:80/a", 80, "/a", "localhost:80"),
        ("http://localhost", 80, "/", "localhost"),
        ("https://client.example:8443/a?b=c&d=%20", 8443, "/a?b=c&d=%20", "client.example:8443"),
        ("https://client.example?", 443, "/?", "client.example"),
        ("https://[2001:db8::1]:8443/a", 8443, "/a", "[2001:db8::1]:8443"),
        ("https://_dmarc.client.example/", 443, "/", "_dmarc.client.example"),
        ("https://192.0.2.1/", 443, "/", "192.0.2.1"),
        ("https://1.example/", 443, "/", "1.example"),
    ],
)
def test_parts_are_as_written(text: str, port: int, target: str, authority: str) -> None:
    """RFC 3986 section 3; RFC 9112 section 3.2.1; rule D8."""
    url = web_url.parse(text)
    assert url is not None
    assert (url.effective_port, url.target, url.authority) == (port, target, authority)


@pytest.mark.parametrize(
    "text",
    [
        "https://[:::]/",
        "https://[1.2.3.4]/",
        "https://[::1]x/",
        "https://1.2.3/",
        "https://1.2.3.256/",
        "https://0x7f000001/",
        "https://client.0x1/",
        "https://-client.example/",
        "https://client-.example/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
        "ftp://client.example/",
        " https://client.example/",
    ],
)
def test_what_parsers_disagree_on_is_no_url(text: str) -> None:
    """Rules C3 and D8: hosts that browsers take for addresses, labels that DNS does not know."""
    assert web_url.parse(text) is None


@given(st.text(st.sampled_from("ahtps:/@?#%\\[]. &=;01x-_"), max_size=30).map("https://".__add__))
def test_the_standard_library_reads_the_same_parts(text: str) -> None:
    """Rule D8."""
    url = web_url.parse(text)
    if url is None:
        return
    parts = urlsplit(text)
    assert (parts.hostname, parts.port, parts.path) == (url.host.lower(), url.port, url.path)
    assert (parts.query, parts.username, parts.fragment) == (url.query or "", None, "")


def test_a_text_that_is_too_long_is_not_kept() -> None:
    """Rule G5: what strangers send takes bounded memory, refused texts included."""
    text = "https://client.example/" + "".join(["x"] * 60_000)
    before = sys.getrefcount(text)
    assert web_url.parse(text) is None
    assert sys.getrefcount(text) == before
