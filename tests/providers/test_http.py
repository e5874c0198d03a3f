"""The way out to a provider: its bounds, its trust, its silence (security rules B7, B12, B13)."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from providers.base import Fault, ProviderSettings, ProviderSettingsError, UpstreamError
from providers.http import MAX_BODY, UpstreamHttp, UpstreamResponse, document, open_http

URL = "https://idp.example.test/x"


def settings(**changes: Any) -> ProviderSettings:
    """Return settings of which only the transport matters."""
    fitting = {
        "id": "idp",
        "type": "oidc",
        "display_name": "IdP",
        "issuer": "https://idp.example.test",
        "client_id": "broker",
    }
    return ProviderSettings(**{**fitting, **changes})


def answering(answer: Callable[[httpx2.Request], httpx2.Response], **changes: Any) -> UpstreamHttp:
    """Return a client whose every request is answered by a function."""
    return open_http(settings(**changes), transport=httpx2.MockTransport(answer))


class Stream(httpx2.AsyncByteStream):
    """A body in pieces that counts what was taken."""

    def __init__(self, piece: bytes, count: int) -> None:
        self.piece, self.count, self.taken = piece, count, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.count):
            self.taken += 1
            yield self.piece


async def test_an_answer_is_status_headers_and_body() -> None:
    """Header names are in lower case; the media type stands without parameters."""
    answer = httpx2.Response(
        404, headers={"Content-Type": "Application/JSON; charset=utf-8", "X-A": "b"}, content=b'{"a": 1}'
    )
    async with answering(lambda _: answer) as http:
        got = await http.get_json(URL, operation="test")
    assert (got.status, got.media_type, got.headers["x-a"], got.json_object()) == (
        404,
        "application/json",
        "b",
        {"a": 1},
    )


async def test_a_body_over_a_mebibyte_is_cut_off_while_it_comes() -> None:
    """Security rule B7: the rest is never read."""
    stream = Stream(b"x" * 65536, 1000)
    async with answering(lambda _: httpx2.Response(200, stream=stream)) as http:
        with pytest.raises(UpstreamError, match="too_large"):
            await http.get_json(URL, operation="test")
    assert stream.taken == MAX_BODY // 65536 + 1


async def test_a_compressed_bomb_is_cut_off_while_it_inflates() -> None:
    """Security rule B7: one piece beyond the limit at most."""
    bomb = gzip.compress(gzip.compress(b"\0" * 20 * 1024 * 1024))
    answer = httpx2.Response(200, headers={"content-encoding": "gzip, gzip"}, content=None, stream=Stream(bomb, 1))
    async with answering(lambda _: answer) as http:
        with pytest.raises(UpstreamError, match="too_large"):
            await http.get_json(URL, operation="test")


async def test_compression_is_not_asked_for_and_understood_all_the_same() -> None:
    """Some proxies compress whatever was asked."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=Stream(gzip.compress(b'{"a": 1}'), 1))

    async with answering(answer) as http:
        assert (await http.get_json(URL, operation="test")).json_object() == {"a": 1}
    assert seen[0].headers["accept-encoding"] == "identity"


async def test_a_body_that_does_not_inflate_is_refused() -> None:
    """Security rule B12."""
    answer = httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=Stream(b"not gzip", 1))
    async with answering(lambda _: answer) as http:
        with pytest.raises(UpstreamError, match="undecodable"):
            await http.get_json(URL, operation="test")


async def test_redirects_are_answers_and_are_not_followed() -> None:
    """Security rule B7."""
    seen: list[httpx2.URL] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url)
        return httpx2.Response(302, headers={"location": "http://169.254.169.254/"})

    async with answering(answer) as http:
        assert (await http.get_json(URL, operation="test")).status == 302
    assert len(seen) == 1


async def test_cookies_of_one_call_never_ride_on_the_next() -> None:
    """One person's upstream session is nobody else's."""
    seen: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers.get("cookie"))
        return httpx2.Response(200, headers={"set-cookie": "session=of-alice; Path=/"})

    async with answering(answer) as http:
        await http.get_json(URL, operation="test")
        await http.get_json(URL, operation="test")
    assert seen == [None, None]


async def test_a_form_is_posted_urlencoded() -> None:
    """RFC 6749 appendix B."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200)

    async with answering(answer) as http:
        await http.post_form(URL, {"a": "ü &="}, operation="token", authorization="Basic eA==")
    assert (seen[0].method, seen[0].content, seen[0].headers["authorization"]) == (
        "POST",
        b"a=%C3%BC+%26%3D",
        "Basic eA==",
    )
    assert seen[0].headers["content-type"] == "application/x-www-form-urlencoded"


async def test_an_api_is_called_with_its_own_headers_and_json() -> None:
    """What is no form and no plain GET; the answer may be an array."""
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, content=b"[1]")

    async with answering(answer) as http:
        headers = {"accept": "application/vnd.acme+json", "authorization": "Bearer at"}
        answered = await http.call("DELETE", URL, operation="test", headers=headers, body={"a": ["ü"]})
        await http.call("GET", URL, operation="test", headers=headers)
    assert (answered.json_array(), answered.json_object()) == ([1], None)
    assert (seen[0].method, seen[0].content.decode()) == ("DELETE", '{"a":["ü"]}')
    assert seen[0].headers["content-type"] == "application/json"
    assert (seen[0].headers["accept"], seen[0].headers["authorization"]) == ("application/vnd.acme+json", "Bearer at")
    assert (seen[1].content, "content-type" in seen[1].headers) == (b"", False)
    assert UpstreamResponse(200, {}, b"{}").json_array() is None


async def test_the_whole_exchange_has_one_time_limit() -> None:
    """Security rule B7: neither a slow start nor a trickle outlives it."""

    class Trickle(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                await asyncio.sleep(0.005)
                yield b" "

    async with answering(lambda _: httpx2.Response(200, stream=Trickle()), timeout=0.03) as http:
        with pytest.raises(UpstreamError) as caught:
            await http.get_json(URL, operation="test")
    assert (caught.value.fault, caught.value.reason) == (Fault.TRANSIENT, "timeout")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx2.ConnectError("secret host"), "unreachable"),
        (httpx2.RemoteProtocolError("secret host"), "unreachable"),
        (httpx2.ProxyError("secret host"), "unreachable"),
        (httpx2.ReadTimeout("secret host"), "timeout"),
        (httpx2.PoolTimeout("secret host"), "timeout"),
    ],
)
async def test_a_transport_failure_is_transient_and_says_nothing(error: Exception, reason: str) -> None:
    """Security rules B12, B13: no upstream text, not even in the exception's context."""

    def answer(_request: httpx2.Request) -> httpx2.Response:
        raise error

    async with answering(answer) as http:
        with pytest.raises(UpstreamError) as caught:
            await http.get_json(URL, operation="test", authorization="Bearer at-secret")
    assert (caught.value.fault, caught.value.reason) == (Fault.TRANSIENT, reason)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


async def test_the_observer_hears_the_operation_and_its_seconds() -> None:
    """Upstream latency is measured for failures too."""
    heard: list[tuple[str, float]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            raise httpx2.ConnectError("down")
        return httpx2.Response(200)

    async with open_http(
        settings(), transport=httpx2.MockTransport(answer), observe=lambda word, seconds: heard.append((word, seconds))
    ) as http:
        await http.get_json(URL, operation="jwks")
        with pytest.raises(UpstreamError):
            await http.post_form(URL, {}, operation="token")
    assert [word for word, _ in heard] == ["jwks", "token"]
    assert all(0 <= seconds < 10 for _, seconds in heard)


async def test_nothing_listening_is_a_transient_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Security rule B7; proxies named in the environment play no part."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving_json() as port, open_http(settings()) as http:
        assert (await http.get_json(f"http://127.0.0.1:{port}/", operation="test")).status == 200
    async with open_http(settings()) as http:
        with pytest.raises(UpstreamError, match="unreachable"):
            await http.get_json(f"http://127.0.0.1:{port}/", operation="test")


async def test_a_provider_has_its_own_proxy() -> None:
    """Setting PROXY: the request goes there, whole."""
    async with serving_json() as port, open_http(settings(proxy=f"http://127.0.0.1:{port}")) as http:
        assert (await http.get_json("http://idp.example.test/", operation="test")).json_object() == {"ok": True}


async def test_a_providers_own_ca_is_trusted_beside_the_systems(tmp_path: Path) -> None:
    """Setting CA_FILE: added to the system's roots, for this provider alone."""
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    self_signed(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serving_json(context) as port:
        async with open_http(settings(ca_file=str(certificate))) as http:
            assert (await http.get_json(f"https://127.0.0.1:{port}/", operation="test")).json_object() == {"ok": True}
        async with open_http(settings()) as http:
            with pytest.raises(UpstreamError) as caught:
                await http.get_json(f"https://127.0.0.1:{port}/", operation="test")
    assert (caught.value.fault, caught.value.reason) == (Fault.TRANSIENT, "tls")


def test_the_systems_roots_stay_when_a_ca_file_is_added(tmp_path: Path) -> None:
    """Setting CA_FILE adds: SSL_CERT_FILE would have replaced."""
    from providers.http import _tls_context  # noqa: PLC0415 - only here

    certificate = tmp_path / "ca.pem"
    self_signed(certificate, tmp_path / "key.pem")
    assert (
        _tls_context(str(certificate)).cert_store_stats()["x509"] == _tls_context(None).cert_store_stats()["x509"] + 1
    )


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    """The administrator reads which provider and which setting."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ProviderSettingsError, match="provider idp: CA_FILE"):
        open_http(settings(ca_file=str(path)))


@pytest.mark.parametrize("proxy", ["ftp://u:secret@proxy", "http://u:secret@host:port", "secret"])
def test_a_proxy_that_is_none_is_named_without_its_credentials(proxy: str) -> None:
    """Security rule B13."""
    with pytest.raises(ProviderSettingsError, match="provider idp: PROXY") as caught:
        open_http(settings(proxy=proxy))
    assert "secret" not in str(caught.value)


def test_a_document_is_the_object_of_a_200() -> None:
    """Security rule B7."""
    assert document(UpstreamResponse(200, {}, b'{"a": 1}'), "x") == {"a": 1}
    for status, reason in (
        (200, "x_not_json"),
        (204, "x_status"),
        (301, "x_status"),
        (429, "x_unavailable"),
        (502, "x_unavailable"),
    ):
        with pytest.raises(UpstreamError) as caught:
            document(UpstreamResponse(status, {}, b"<html>"), "x")
        assert caught.value.reason == reason


@asynccontextmanager
async def serving_json(context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve one JSON object to everybody on a loopback port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{"ok": true}')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


def self_signed(certificate: Path, key: Path) -> None:
    """Write a certificate for 127.0.0.1 that is its own authority."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "private authority")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
