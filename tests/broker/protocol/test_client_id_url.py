"""Client identifiers that are URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.oauth import InvalidClient
from broker.protocol import client_id_url
from tests.broker.client_shapes import DOCUMENTS


@pytest.mark.parametrize(
    "client_id",
    [
        *(shape.body["client_id"] for shape in DOCUMENTS),
        "https://client.example/c",
        "https://client.example:8443/c.json?v=2",
        "https://CLIENT.example/c",
        "https://client.example/a//b",
        "https://client.example/a/..b",
    ],
)
def test_https_with_a_path_is_a_client_id(client_id: str) -> None:
    """Rule D8; draft-ietf-oauth-client-id-metadata-document section 3."""
    assert client_id_url.is_url(client_id)
    assert client_id.endswith(client_id_url.check(client_id, loopback=False).target)


@pytest.mark.parametrize(
    "client_id",
    [
        "https://client.example",
        "https://client.example/",
        "https://client.example//",
        "https://client.example?x=/y",
        "https://client.example/a/../b",
        "https://client.example/./a",
        "https://client.example/a/%2e%2E",
        "https://client.example/a/.",
        "https://client.example/c#f",
        "https://user@client.example/c",
        "https://user:pw@client.example/c",
        "https://client.example/c d",
        "https://client.example\\c",
        "https:/client.example/c",
        "https://",
        "HTTPS://client.example/c",
        "http://client.example/c",
        "http://localhost/c",
        "http://127.0.0.1:3000/c",
        "https://client.example/" + "c" * 2048,
    ],
)
def test_any_other_url_is_an_unknown_client(client_id: str) -> None:
    """Rule D8: no fragment, no userinfo, no dot segment; http never in production."""
    with pytest.raises(InvalidClient):
        client_id_url.check(client_id, loopback=False)


def test_http_is_for_loopback_where_the_issuer_is_loopback() -> None:
    """Rule D3; the draft's exception for development."""
    assert client_id_url.check("http://localhost:3000/c", loopback=True).port == 3000
    for client_id in ("http://client.example/c", "http://10.0.0.1/c", "http://localhost.evil.example/c"):
        with pytest.raises(InvalidClient):
            client_id_url.check(client_id, loopback=True)


@given(st.text(max_size=60), st.booleans())
def test_arbitrary_text_raises_only_the_oauth_error(rest: str, loopback: bool) -> None:  # noqa: FBT001 - generated
    """No input gives a 5xx (rule D8)."""
    for client_id in (rest, "https://" + rest, "https://client.example/" + rest):
        try:
            url = client_id_url.check(client_id, loopback=loopback)
        except InvalidClient:
            continue
        assert client_id == f"{url.scheme}://{url.authority}{url.target}"
