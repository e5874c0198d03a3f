"""The nginx configurations of deploy/nginx: every address that clients look at is routed, by the letter and by a real nginx."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from broker.doctor.issuer import metadata_urls
from tests.broker.cli.terminal import make_terminal
from tests.broker.doctor.authority import Authority
from tests.broker.doctor.world import World
from tests.e2e import parts
from tests.e2e.processes import Process, answers, free_port
from tests.flows.test_process import BIN, START

FOLDER = Path(__file__).parents[2] / "deploy" / "nginx"
ORIGIN = "https://auth.example.com"
CONFIGURATIONS = {"mcp-broker.conf": "", "mcp-broker-path.conf": "/oauth"}  # file -> the issuer's path
_LOCATION = re.compile(r"location (\S+) \{([^}]*)\}")


def routed(text: str, path: str) -> bool:
    """Tell whether the longest location that fits a path sends it to the broker, as it is."""
    fitting = [(prefix, body) for prefix, body in _LOCATION.findall(text) if path.startswith(prefix)]
    _, body = max(fitting, key=lambda found: len(found[0]))
    return "proxy_pass http://mcp_broker;" in body


@pytest.mark.parametrize(("file", "path"), CONFIGURATIONS.items())
def test_every_address_that_clients_look_at_is_the_brokers(file: str, path: str) -> None:
    """RFC 8414 section 3.1: three forms, twice."""
    text = (FOLDER / file).read_text()

    for url in (*metadata_urls(ORIGIN + path), f"{ORIGIN}{path}/authorize", f"{ORIGIN}{path}/callback/corp"):
        assert routed(text, url.removeprefix(ORIGIN)), url
    assert "proxy_set_header Host $host;" in text, "a broker on loopback refuses any other name (rule G1)"


def test_what_is_not_under_the_path_is_not_the_brokers() -> None:
    assert not routed((FOLDER / "mcp-broker-path.conf").read_text(), "/shop")


@pytest.mark.e2e
@pytest.mark.parametrize(("file", "path"), CONFIGURATIONS.items())
def test_behind_a_real_nginx_the_doctor_is_content(
    file: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file as it stands, apart from names, ports and certificate: TLS, six addresses, keys."""
    nginx, authority, port, backend = parts.nginx(), Authority(tmp_path), free_port(), free_port()
    certificate = str(authority.certificate())
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    text = (FOLDER / file).read_text()
    text = re.sub(r"\n +listen (?:\[::\].*|80);", "", text).replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    text = re.sub(r"server \{\s+server_name auth.example.com;\s+return 301[^}]*\}", "", text)
    text = re.sub(r"/etc/letsencrypt/\S+\.pem", certificate, text).replace("auth.example.com", "localhost")
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{backend}")
    whole = tmp_path / "nginx.conf"
    folders = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole.write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {folders}{text}\n}}\n"
    )
    world = World(make_terminal(tmp_path, monkeypatch), tmp_path)
    world.env |= {
        "BROKER_ISSUER": f"https://localhost:{port}{path}",
        "BROKER_BIND": f"127.0.0.1:{backend}",
        "BROKER_ADMIN_BIND": f"127.0.0.1:{free_port()}",
        "BROKER_TRUSTED_PROXIES": "127.0.0.1",
        "BROKER_DRAIN": "0s",
    }
    broker = Process([BIN, "serve"], tmp_path / "serve.log", environment={**os.environ, **world.env})
    proxy = Process([nginx, "-p", tmp_path, "-c", whole], tmp_path / "nginx.log", environment=os.environ)
    try:
        broker.wait_until(lambda: answers(f"http://localhost:{backend}/readyz"), within=START)
        proxy.wait_until((tmp_path / "nginx.pid").exists, within=START)
        findings = {f["name"]: f for f in world.examine()}
    finally:
        proxy.stop()
        broker.stop()

    names = ("issuer", "TLS in front", "metadata", "published keys")
    assert {name: findings.get(name, {}).get("status") for name in names} == dict.fromkeys(names, "OK"), findings
