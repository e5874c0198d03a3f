"""Where the guarded GET may go at all: hosts, ports, schemes and proxies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.outbound import FetchFailed, GuardedFetcher
from broker.settings import Settings
from tests.broker.outbound.stranger import NAME, SOURCE, Names, Stranger, answer, stranger, word
from tests.broker.resource_issuer import ManualClock


async def test_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, server: Stranger, fetcher: GuardedFetcher
) -> None:
    """Rule D3: a proxy would look the name up again."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120)).document


async def test_plain_http_is_for_loopback_alone(tmp_path: Path, near: Settings, clock: ManualClock) -> None:
    """Rule D3: a name that only claims to be localhost gets nothing in clear."""
    async with stranger(tmp_path, tls=False) as server:
        server.says = answer({"a": 1})
        url = server.url(host="localhost", scheme="http")
        fetcher = GuardedFetcher(near, clock=clock)
        assert (await fetcher.fetch(url, source=SOURCE, max_bytes=5120)).document == {"a": 1}
        assert f"Host: localhost:{server.port}".encode() in server.heads[0]
        elsewhere = GuardedFetcher(near, clock=clock, resolve=Names(["93.184.215.14"]))
        assert await word(elsewhere, url) == "address"


async def test_an_administrator_s_url_may_lead_into_the_own_network(server: Stranger, clock: ManualClock) -> None:
    """Rule D12 guards strangers' URLs; keys of a pre-registered client are where its administrator says."""
    settings = Settings(issuer="https://broker.example.com", cimd_ca_file=server.ca_file, cimd_allowed_hosts=())
    fetcher = GuardedFetcher(settings, clock=clock, resolve=Names(["127.0.0.1"]))
    assert await word(fetcher, server.url()) == "host"
    assert (await fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120, vouched=True)).document
    with pytest.raises(FetchFailed):
        await fetcher.fetch(server.url(scheme="http"), source=SOURCE, max_bytes=5120, vouched=True)


PRODUCTION = Settings(issuer="https://broker.example.com")
LISTED = Settings(
    issuer="https://broker.example.com", cimd_allowed_hosts=("a.example", "b.example:8443", "[2001:db8::1]:8443")
)
LOCAL = Settings(issuer="http://127.0.0.1:8080")
LOCAL_LISTED = Settings(issuer="http://127.0.0.1:8080", cimd_allowed_hosts=("localhost", "b.example:8443"))


@pytest.mark.parametrize(
    ("settings", "url", "permitted"),
    [
        (PRODUCTION, "https://any.example/c", True),
        (PRODUCTION, "https://any.example:443/c", True),
        (PRODUCTION, "https://any.example:8443/c", False),
        (PRODUCTION, "https://any.example:22/c", False),
        (PRODUCTION, "http://any.example/c", False),
        (PRODUCTION, "http://localhost/c", False),
        (PRODUCTION, "https://localhost:9000/c", False),
        (PRODUCTION, "ftp://any.example/c", False),
        (PRODUCTION, "https://user@any.example/c", False),
        (LISTED, "https://a.example/c", True),
        (LISTED, "https://A.example/c", True),
        (LISTED, "https://a.example:8443/c", False),
        (LISTED, "https://x.a.example/c", False),
        (LISTED, "https://b.example:8443/c", True),
        (LISTED, "https://b.example/c", False),
        (LISTED, "https://[2001:db8::1]:8443/c", True),
        (LISTED, "https://any.example/c", False),
        (LOCAL, "https://any.example/c", True),
        (LOCAL, "https://any.example:8443/c", False),
        (LOCAL, "http://localhost:3000/c", True),
        (LOCAL, "https://[::1]:3000/c", True),
        (LOCAL, "http://any.example/c", False),
        (LOCAL_LISTED, "http://localhost:3000/c", True),
        (LOCAL_LISTED, "http://127.0.0.1:3000/c", False),
        (LOCAL_LISTED, "https://b.example:8443/c", True),
    ],
)
def test_hosts_and_ports_are_https_443_or_listed(settings: Settings, url: str, permitted: bool) -> None:  # noqa: FBT001 - a table
    """Rule D3; BROKER_CIMD_ALLOWED_HOSTS."""
    assert GuardedFetcher(settings, clock=ManualClock()).permits(url) is permitted


async def _tunnel(asked: list[str], target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one CONNECT of a proxy that leads everything to one port of this machine."""
    head = await reader.readuntil(b"\r\n\r\n")
    asked.append(head.split(b"\r\n")[0].decode())
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(4096):
            sink.write(data)
            await sink.drain()
        sink.close()

    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)


async def test_a_configured_proxy_dials_by_name_what_is_not_known_to_be_internal(
    server: Stranger, clock: ManualClock
) -> None:
    """Rule D3, BROKER_CIMD_PROXY: TLS is still with the name; a name that we see lead inside never gets to the proxy."""
    asked: list[str] = []
    proxy = await asyncio.start_server(lambda r, w: _tunnel(asked, server.port, r, w), "127.0.0.1", 0)
    settings = Settings(
        issuer="https://broker.example.com",
        cimd_ca_file=server.ca_file,
        cimd_proxy=f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}",
    )
    for names in (Names(), Names(["93.184.215.14"])):
        fetcher = GuardedFetcher(settings, clock=clock, resolve=names, total=1.0)
        assert (await fetcher.fetch(f"https://{NAME}/c", source=SOURCE, max_bytes=5120)).document
    assert asked == [f"CONNECT {NAME}:443 HTTP/1.1"] * 2
    for names in (Names(["10.0.0.1"]), Names(["127.0.0.1"])):
        assert await word(GuardedFetcher(settings, clock=clock, resolve=names), f"https://{NAME}/c") == "address"
    assert len(asked) == 2
    proxy.close()
