"""A stranger's web server on loopback: TLS under a CA of its own, scripted bytes, and a record of what reached it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from broker.outbound import FetchFailed, GuardedFetcher

NAME = "client.example"
SOURCE = "192.0.2.1"
Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def answer(
    body: bytes | dict[str, Any], status: str = "200 OK", content_type: str = "application/json", **headers: str
) -> bytes:
    """Return a whole HTTP answer; `cache_control="…"` becomes a Cache-Control header."""
    raw = json.dumps(body).encode() if isinstance(body, dict) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


@dataclass
class Stranger:
    """A running server. `says` is the answer, or a script that writes one."""

    port: int = 0
    ca_file: str = ""
    says: bytes | Script = b""
    heads: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)  # SNI
    connections: int = 0

    def url(self, path: str = "/client.json", host: str = NAME, scheme: str = "https") -> str:
        """Return a URL of this server."""
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        self.connections += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if callable(self.says):
                await self.says(head, writer)
            else:
                writer.write(self.says)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def stranger(folder: Path, *, name: str = NAME, tls: bool = True) -> AsyncIterator[Stranger]:
    """Run a server whose certificate is for `name` (TLS), or in clear."""
    server = Stranger()
    context = None
    if tls:
        context, server.ca_file = _tls(folder, name)
        context.sni_callback = lambda _, asked, __: server.names.append(asked)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


@cache
def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    builder = _certificate(name, name, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return key, builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _tls(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    ca_key, ca = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
    named: x509.GeneralName = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    certificate = (
        _certificate(subject, ca.subject, key)
        .add_extension(x509.SubjectAlternativeName([named]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context, str(folder / "ca.pem")


class Names:
    """A name server whose answers a test writes; each list of addresses is given once, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        """Without answers, no name exists."""
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        """Answer as the resolver does."""
        self.asked.append((host, port))
        if not self.answers:
            raise OSError("no such name")
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def word(fetcher: GuardedFetcher, url: str, max_bytes: int = 5120) -> str:
    """Return why a fetch failed."""
    with pytest.raises(FetchFailed) as failed:
        await fetcher.fetch(url, source=SOURCE, max_bytes=max_bytes)
    return failed.value.word
