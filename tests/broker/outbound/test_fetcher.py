"""The guarded GET, against real TLS servers on loopback."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from broker.outbound import FetchFailed, GuardedFetcher
from broker.settings import Settings
from tests.broker.outbound.stranger import NAME, SOURCE, Names, Stranger, answer, stranger, word
from tests.broker.resource_issuer import ManualClock


async def test_the_judged_address_is_dialled_under_the_name(
    server: Stranger, fetcher: GuardedFetcher, names: Names
) -> None:
    """Rules D3, D4: one lookup; SNI, certificate and Host are the name's, the connection is the address's."""
    fetched = await fetcher.fetch(server.url("/c%2F.json?v=1"), source=SOURCE, max_bytes=5120)
    assert fetched.document == {"client_id": "x"}
    assert server.names == [NAME]
    assert names.asked == [(NAME, server.port)]
    head = server.heads[0].decode().lower()
    assert head.startswith("get /c%2f.json?v=1 http/1.1\r\n")
    assert f"host: {NAME}:{server.port}\r\n" in head
    assert "accept-encoding: identity\r\n" in head
    assert "cookie" not in head
    assert "authorization" not in head


async def test_a_name_that_moves_after_the_check_is_not_followed(
    server: Stranger, near: Settings, clock: ManualClock
) -> None:
    """Rule D4: a rebinding name server is asked once, so its second answer reaches nobody."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    fetcher = GuardedFetcher(near, clock=clock, resolve=names, total=1.0)
    await fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120)
    assert len(names.asked) == 1
    assert await word(fetcher, server.url()) == "address"
    assert server.connections == 1


@pytest.mark.parametrize(
    "addresses",
    [
        [],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::ffff:169.254.169.254"],
        ["64:ff9b::a9fe:a9fe"],
        ["2002:a00:1::"],
        ["fd00::1"],
        ["93.184.215.14", "10.0.0.1"],
        ["10.0.0.1", "93.184.215.14"],
        ["127.0.0.1", "192.168.0.1"],
        ["nonsense"],
    ],
)
async def test_one_address_that_is_not_public_refuses_the_whole_name(
    addresses: list[str], server: Stranger, near: Settings, clock: ManualClock
) -> None:
    """Rule D3: every answer must be globally routable."""
    assert await word(GuardedFetcher(near, clock=clock, resolve=Names(addresses)), server.url()) == "address"
    assert server.connections == 0


async def test_loopback_is_not_reached_by_a_broker_that_is_not_there(server: Stranger, clock: ManualClock) -> None:
    """Rule D3: loopback only when the issuer itself is loopback."""
    settings = Settings(
        issuer="https://broker.example.com",
        cimd_ca_file=server.ca_file,
        cimd_allowed_hosts=(f"{NAME}:{server.port}", f"localhost:{server.port}"),
    )
    for names in (Names(["127.0.0.1"]), Names(["::1"]), Names(["::ffff:127.0.0.1"])):
        fetcher = GuardedFetcher(settings, clock=clock, resolve=names)
        assert await word(fetcher, server.url()) == "address"
        assert await word(fetcher, server.url(host="localhost")) == "address"
    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]"])
async def test_an_address_in_the_url_is_judged_like_any_other(host: str, clock: ManualClock) -> None:
    """Rule D3, with the system's own resolver."""
    fetcher = GuardedFetcher(Settings(issuer="https://broker.example.com"), clock=clock)
    assert await word(fetcher, f"https://{host}/client.json") == "address"


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path, near: Settings, clock: ManualClock) -> None:
    """Rule D3: certificate verification is for the name, not for the address that was dialled."""
    async with stranger(tmp_path, name="other.example") as server:
        settings = Settings(
            issuer=near.issuer, cimd_ca_file=server.ca_file, cimd_allowed_hosts=(f"{NAME}:{server.port}",)
        )
        fetcher = GuardedFetcher(settings, clock=clock, resolve=Names(["127.0.0.1"]))
        assert await word(fetcher, server.url()) == "connection"
        assert server.heads == []


async def test_an_unknown_authority_is_refused(server: Stranger, clock: ManualClock) -> None:
    """Rule D3: BROKER_CIMD_CA_FILE adds a root; without it the public ones count."""
    settings = Settings(issuer="http://localhost:8080", cimd_allowed_hosts=(f"{NAME}:{server.port}",))
    fetcher = GuardedFetcher(settings, clock=clock, resolve=Names(["127.0.0.1"]))
    assert await word(fetcher, server.url()) == "connection"
    assert server.heads == []


async def test_the_next_address_is_tried_when_one_does_not_answer(
    server: Stranger, near: Settings, clock: ManualClock
) -> None:
    """RFC 6724: a host with an address that is down is still reachable."""
    fetcher = GuardedFetcher(near, clock=clock, resolve=Names(["::1", "127.0.0.1"]), total=1.0)
    assert (await fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120)).document


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirects_are_not_followed(status: str, server: Stranger, fetcher: GuardedFetcher) -> None:
    """Rule D5."""
    server.says = answer({}, status, Location="https://client.example/elsewhere")
    assert await word(fetcher, server.url()) == "status"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("status", "unreachable"),
    [
        ("201 Created", False),
        ("204 Nothing", False),
        ("206 Part", False),
        ("404 Gone", False),
        ("500 Oops", True),
        ("503 Later", True),
    ],
)
async def test_only_200_counts(status: str, unreachable: bool, server: Stranger, fetcher: GuardedFetcher) -> None:  # noqa: FBT001 - a table
    """Rule D6; a server's own failure may pass."""
    server.says = answer({}, status)
    with pytest.raises(FetchFailed) as failed:
        await fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120)
    assert (failed.value.word, failed.value.unreachable) == ("status", unreachable)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/jwk-set+json"],
)
async def test_json_content_types_are_accepted(content_type: str, server: Stranger, fetcher: GuardedFetcher) -> None:
    """Rule D6; RFC 6839 section 3.1."""
    server.says = answer({"a": 1}, content_type=content_type)
    assert (await fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120)).document == {"a": 1}


@pytest.mark.parametrize(
    "content_type",
    ["", "text/html", "text/plain", "application/jsonp", "image/svg+json", "application/x, application/json"],
)
async def test_other_content_types_are_not(content_type: str, server: Stranger, fetcher: GuardedFetcher) -> None:
    """Rule D6: a page or an upload of somebody else on that host is no metadata document."""
    server.says = answer({"a": 1}, content_type=content_type)
    assert await word(fetcher, server.url()) == "content type"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip", "x"])
async def test_an_encoded_body_is_refused_and_never_decompressed(
    encoding: str, server: Stranger, fetcher: GuardedFetcher
) -> None:
    """Rule D6: no decompression bombs."""
    server.says = answer(gzip.compress(b'{"a":"' + b"b" * 1_000_000 + b'"}'), Content_Encoding=encoding)
    assert await word(fetcher, server.url()) == "content encoding"
    server.says = answer(gzip.compress(b'{"a":1}'))
    assert await word(fetcher, server.url()) == "json"


async def test_the_size_is_limited_when_announced_and_while_it_comes(server: Stranger, fetcher: GuardedFetcher) -> None:
    """Rule D6."""
    exact = b'{"a":"' + b"b" * 90 + b'"}'
    server.says = answer(exact)
    assert (await fetcher.fetch(server.url(), source=SOURCE, max_bytes=len(exact))).document
    assert await word(fetcher, server.url(), max_bytes=len(exact) - 1) == "size"

    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"400\r\n" + b" " * 0x400 + b"\r\n")
            await writer.drain()

    server.says = endless
    assert await word(fetcher, server.url()) == "size"


async def _silence(_: bytes, __: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _drip(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _dripping_head(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints", "101 Switching Protocols", "199 x"])
@pytest.mark.parametrize("step", [1, 5, 4096])
async def test_an_interim_answer_ends_the_fetch(
    server: Stranger, fetcher: GuardedFetcher, status: str, step: int
) -> None:
    """Rule D6: a library skips any number of them, so that megabytes came before an answer of a few bytes."""
    script = f"HTTP/1.1 {status}\r\nLink: </x>\r\n\r\n".encode() + answer({"client_id": "x"})

    async def slowly(_: bytes, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(script), step):
            writer.write(script[start : start + step])
            await writer.drain()

    server.says = slowly
    assert await word(fetcher, server.url()) == "connection"


@pytest.mark.parametrize("script", [_silence, _drip, _dripping_head])
async def test_everything_together_has_one_deadline(
    script: Any, server: Stranger, near: Settings, names: Names, clock: ManualClock
) -> None:
    """Rule D6: 5 s in total, whatever trickles meanwhile."""
    server.says = script
    fetcher = GuardedFetcher(near, clock=clock, resolve=names, total=0.3)
    async with asyncio.timeout(1):
        assert await word(fetcher, server.url()) == "timeout"


async def test_the_deadline_covers_lookup_and_handshake(near: Settings, clock: ManualClock, names: Names) -> None:
    """Rule D6."""

    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(30)
        return [host]

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    settings = Settings(issuer=near.issuer, cimd_allowed_hosts=(f"{NAME}:{port}",))
    async with asyncio.timeout(2):
        for resolve in (slow, names):
            fetcher = GuardedFetcher(settings, clock=clock, resolve=resolve, total=0.3)
            assert await word(fetcher, f"https://{NAME}:{port}/c") == "timeout"
    listener.close()


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"\x00\xff nonsense",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_nonsense_on_the_wire_is_a_failure_like_any_other(
    says: bytes, server: Stranger, fetcher: GuardedFetcher
) -> None:
    """No input gives a 5xx: a stranger's server neither."""
    server.says = says
    assert await word(fetcher, server.url()) == "connection"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b"{}{}",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b"\xff",
        b'{"a":' * 99 + b"1" + b"}" * 99,
    ],
)
async def test_only_one_json_object_counts(body: bytes, server: Stranger, fetcher: GuardedFetcher) -> None:
    """Rules D6 and G6."""
    server.says = answer(body)
    assert await word(fetcher, server.url()) == "json"


async def test_the_lifetime_is_what_the_answer_says(server: Stranger, fetcher: GuardedFetcher) -> None:
    """Rule D9."""
    server.says = answer({}, Cache_Control="max-age=1000", Age="400")
    assert (await fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120)).lifetime == 600
