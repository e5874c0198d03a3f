"""An app that publishes its own metadata (OAuth Client ID Metadata Document): an HTTPS site on loopback with an authority of its own."""

from __future__ import annotations

import datetime as dt
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATH = "/app/client.json"


@dataclass
class ClientSite:
    """The site: its address, the authority to trust, and how often its document was asked for."""

    origin: str
    ca_file: Path
    document: dict[str, Any] = field(default_factory=dict)
    fetches: int = 0
    others: dict[str, dict[str, Any]] = field(default_factory=dict)

    def another(self, path: str, **metadata: Any) -> str:
        """Publish a second document and return its address."""
        self.others[path] = {**metadata, "client_id": self.origin + path}
        return self.origin + path

    @property
    def client_id(self) -> str:
        """The document's address, which is the client's identifier."""
        return self.origin + PATH

    def environment(self) -> dict[str, str]:
        """The settings that let the broker fetch from here."""
        return {
            "BROKER_CIMD_CA_FILE": str(self.ca_file),
            "BROKER_CIMD_ALLOWED_HOSTS": self.origin.removeprefix("https://"),
        }


def certificate_for(host: str, folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for a host, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "site.pem", folder / "site.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@contextmanager
def running_client_site(folder: Path, **metadata: Any) -> Iterator[ClientSite]:
    """Serve a document with these members and its own address as client_id."""
    certificate_file, key_file = certificate_for("localhost", folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == PATH
            site.fetches += found
            document = site.document if found else site.others.get(self.path)
            body = json.dumps(document).encode() if document else b""
            self.send_response(200 if document else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    site = ClientSite(f"https://localhost:{server.server_port}", certificate_file)
    site.document = {"client_id": site.client_id, **metadata}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
