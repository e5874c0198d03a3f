"""The platform under every endpoint (security rules G1 to G16, C15, E16)."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from broker.app import create_admin_app
from broker.settings import Address
from tests.broker.harness import ISSUER, BrokerUnderTest, request_ids, running

LOOPBACK = "http://127.0.0.1:8080"
PATHS = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/jwks.json",
    "/authorize",
    "/token",
    "/register",
    "/revoke",
    "/introspect",
    "/consent",
    "/callback/corp",
    "/logout",
    "/livez",
    "/readyz",
    "/nothing",
]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "broker.example.com@evil.example", ""])
async def test_urls_come_from_settings_whatever_host_says(tmp_path: Path, host: str):
    """Security rule G1: not bound to loopback, the document names the issuer; bound to it, a foreign Host is a 421."""
    headers = {"host": host, "x-forwarded-host": host, "forwarded": f"host={host}"}
    async with running(tmp_path, bind=Address("0.0.0.0", 8080)) as broker, broker.http() as http:  # noqa: S104 - nothing is bound
        document = (await http.get(f"{ISSUER}/.well-known/oauth-authorization-server", headers=headers)).text
        assert "evil" not in document
        assert json.loads(document)["issuer"] == ISSUER
        page = await http.get(broker.authorize_url(), headers=headers)
        assert f'action="{ISSUER}/consent"' in page.text


@pytest.mark.parametrize("path", PATHS)
async def test_a_foreign_host_is_refused_while_bound_to_loopback(broker: BrokerUnderTest, path: str):
    """Security rule G1 (DNS rebinding): the public listener is on loopback by default."""
    async with broker.http() as http:
        for host in ("evil.example", "evil.example:8080", "", "[::2]", "localhost.evil.example"):
            assert (await http.get(f"{ISSUER}{path}", headers={"host": host})).status_code == 421
        for host in ("localhost:8080", "127.0.0.1", "[::1]:8080", "broker.example.com"):
            assert (await http.get(f"{ISSUER}{path}", headers={"host": host})).status_code != 421


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:18080@evil",
        "127.0.0.1@evil.example",
        "localhost:evil.example",
        "localhost:8080:1",
        "localhost:",
        "127.0.0.1/evil",
        "[::1]evil",
        "[::1]:8080evil",
        "[::1",
        "::1",
        "localhost evil.example",
        "localhost,evil.example",
        "broker.example.com:8080x",
    ],
)
async def test_a_host_that_is_malformed_is_foreign(broker: BrokerUnderTest, host: str):
    """Security rule G1: the whole of the header is judged, not how it begins."""
    async with broker.http() as http:
        assert (await http.get(f"{ISSUER}/livez", headers={"host": host})).status_code == 421


@pytest.mark.parametrize("bound", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
async def test_every_loopback_address_is_loopback(tmp_path: Path, bound: str):
    """Security rule G1: bound to 127.0.0.2 a rebinding page is kept out as on 127.0.0.1, and its own name is served."""
    literal = f"[{bound}]" if ":" in bound else bound
    async with running(tmp_path, bind=Address(bound, 8080)) as broker, broker.http() as http:
        assert (await http.get(f"{ISSUER}/livez", headers={"host": "evil.example:8080"})).status_code == 421
        assert (await http.get(f"{ISSUER}/livez", headers={"host": f"{literal}:8080"})).status_code == 200


async def test_the_admin_listener_checks_host_too_and_alone_has_the_metrics(broker: BrokerUnderTest):
    """Security rules G1, G12."""
    admin = httpx2.ASGITransport(create_admin_app(broker.broker))
    async with httpx2.AsyncClient(transport=admin, base_url="http://127.0.0.1:8081") as http:
        assert (await http.get("/metrics", headers={"host": "evil.example"})).status_code == 421
        for probe in ("/livez", "/readyz", "/startupz"):
            assert (await http.get(probe)).status_code == 200
        await broker.redeem(await broker.browser().code())
        text = (await http.get("/metrics")).text
    for line in (
        'mcp_broker_requests_total{endpoint="/token",method="POST",status="200"} 1.0',
        'mcp_broker_tokens_total{grant="authorization_code"} 1.0',
        'mcp_broker_logins_total{outcome="signed_in",provider="corp"} 1.0',
        'mcp_broker_upstream_seconds_count{operation="token",provider="corp"} 1.0',
        'mcp_broker_signing_key_age_seconds{alg="ES256"} 0.0',
        "mcp_broker_store_seconds_count",
    ):
        assert line in text, text
    async with broker.http() as http:
        for path in ("/metrics", "/startupz", "/debug", "/debug/login", "/docs", "/openapi.json"):
            assert (await http.get(f"{ISSUER}{path}")).status_code == 404


async def test_forwarded_addresses_count_only_from_trusted_peers(tmp_path: Path):
    """Security rules G2, G3: registration is limited by the true source, whatever a stranger claims."""
    body = {"redirect_uris": ["https://stranger.example/cb"], "token_endpoint_auth_method": "none"}
    from broker.settings import Rate  # noqa: PLC0415 - next to its use

    async with running(tmp_path, dcr_rate=Rate(2, 3600), trusted_proxies=("10.0.0.0/8",)) as broker:
        async with broker.http(source="203.0.113.9") as liar:
            codes = [
                (await liar.post("/register", json=body, headers={"x-forwarded-for": f"198.51.100.{n}"})).status_code
                for n in range(3)
            ]
        assert codes == [201, 201, 429]
        async with broker.http(source="10.1.2.3") as proxy:
            hops = ["198.51.100.1", "evil, 198.51.100.1", "203.0.113.77, 198.51.100.1, 10.9.9.9", "198.51.100.2"]
            codes = [
                (await proxy.post("/register", json=body, headers={"x-forwarded-for": hop})).status_code for hop in hops
            ]
        assert codes == [201, 201, 429, 201]


@pytest.mark.parametrize(
    "path",
    ["//token", "/token/", "/x/..%2ftoken", "/%74oken/x", "/TOKEN", "/token;x", "/callback", "/callback/a/b", "/"],
)
async def test_odd_paths_reach_no_handler(broker: BrokerUnderTest, path: str):
    """Security rule G4."""
    async with broker.http() as http:
        request = http.build_request("POST", ISSUER, content=b"grant_type=x")
        request.url = httpx2.URL(ISSUER, raw_path=path.encode())
        assert (await http.send(request)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/%74oken"),
        ("POST", "/consen%74"),
        ("GET", "/callback%2Fcorp?state=x"),
        ("GET", "/callback/c%6Frp?state=x"),
        ("GET", "/.well-known%2Foauth-authorization-server"),
        ("GET", "/authorize%00"),
    ],
)
async def test_an_encoded_path_reaches_no_handler(broker: BrokerUnderTest, method: str, path: str):
    """Security rule G4: a proxy in front that compares paths as they are written must not be got round by another spelling."""
    async with broker.http() as http:
        request = http.build_request(method, ISSUER)
        request.url = httpx2.URL(ISSUER, raw_path=path.encode())
        answer = await http.send(request)
    assert answer.status_code == 404
    assert "access-control-allow-origin" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content), "whoever reads on finds the next answer"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/logout", "GET, HEAD, POST"), ("GET", "/token", "POST"), ("DELETE", "/authorize", "GET, HEAD")],
)
async def test_a_method_that_is_not_taken_is_answered_with_those_that_are(
    broker: BrokerUnderTest, method: str, path: str, allowed: str
):
    """RFC 9110 section 15.5.6; security rule C15: methods are what they should be."""
    async with broker.http() as http:
        answer = await http.request(method, f"{ISSUER}{path}")
    assert answer.status_code == 405
    assert {word.strip() for word in answer.headers["allow"].split(",")} == set(allowed.split(", "))
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize(("path", "status"), [("/consent", 405), ("/nowhere", 404), ("/authorize/", 404), ("/", 404)])
async def test_a_browser_where_nothing_is_gets_a_page_with_the_reference(
    broker: BrokerUnderTest, path: str, status: int
):
    """Issue 3, bad input: a page that says what happened, for who reloads the answer to a form or mistypes; rule A7."""
    async with broker.http() as http:
        answer = await http.get(f"{ISSUER}{path}", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        as_program = await http.get(f"{ISSUER}{path}")
    assert answer.status_code == as_program.status_code == status
    assert request_ids(answer.text) == [answer.headers["x-request-id"]]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers.get("allow") == as_program.headers.get("allow")
    assert set(as_program.json()) == {"error", "error_description"}


async def test_bodies_are_limited_before_they_are_buffered(broker: BrokerUnderTest):
    """Security rule G5: by the declared length, and by what really comes."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 8192
            yield b"a" * 8192

    form = {"content-type": "application/x-www-form-urlencoded"}
    async with broker.http() as http:
        for path in ("/token", "/revoke", "/introspect", "/consent"):
            read = 0
            answer = await http.post(f"{ISSUER}{path}", content=endless(), headers=form)
            assert answer.status_code in (400, 401)
            assert read < 200_000
        huge = await http.post(f"{ISSUER}/token", content=b"", headers={**form, "content-length": "9" * 30})
        assert huge.status_code == 400


async def test_forms_are_bounded_and_urlencoded_only(broker: BrokerUnderTest):
    """Security rule G6: at most 100 fields, no multipart, JSON with bounded depth and no repeated member."""
    async with broker.http() as http:
        many = await http.post(f"{ISSUER}/token", data={f"f{n}": "x" for n in range(101)})
        multipart = await http.post(f"{ISSUER}/token", files={"grant_type": (None, "authorization_code")})
        nested = await http.post(
            f"{ISSUER}/register", content=b"[" * 5000, headers={"content-type": "application/json"}
        )
        deep = {"redirect_uris": ["https://a.example/"], "x": json.loads("[" * 80 + "]" * 80)}
        doubled = b'{"redirect_uris":["https://a.example/cb"],"redirect_uris":["https://b.example/cb"]}'
        assert [many.status_code, multipart.status_code, nested.status_code] == [400, 400, 400]
        assert (await http.post(f"{ISSUER}/register", json=deep)).status_code == 400
        again = await http.post(f"{ISSUER}/register", content=doubled, headers={"content-type": "application/json"})
        assert again.status_code == 400


async def test_a_log_line_is_one_line_whatever_comes_in(broker: BrokerUnderTest):
    """Security rule G7."""
    nasty = 'x\r\n{"event":"forged"}\x1b[31m\u2028\u0085\x00'
    async with broker.http() as http:
        await http.get(f"{ISSUER}/nothing%0a%0d%1b", params={"x": nasty})
        await http.post(f"{ISSUER}/token", data={"grant_type": nasty.replace("\x00", ""), "client_id": "trusted"})
        await http.post(f"{ISSUER}/register", json={"client_name": nasty, "redirect_uris": ["https://s.example/cb"]})
        await http.get(broker.authorize_url(client_id=nasty))
    assert broker.oracle.log
    for line in broker.oracle.log:
        assert re.fullmatch(r"[ -~]+", line), line
        assert json.loads(line)["event"] != "forged"


@pytest.mark.parametrize("path", PATHS)
async def test_security_headers_are_on_every_answer(broker: BrokerUnderTest, path: str):
    """Security rule G8; no Cross-Origin-Opener-Policy, since clients watch a popup."""
    async with broker.http() as http:
        for method in ("GET", "POST", "OPTIONS"):
            answer = await http.request(method, f"{ISSUER}{path}")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["strict-transport-security"]
            assert "cross-origin-opener-policy" not in answer.headers
            assert "server" not in answer.headers


@pytest.mark.parametrize("path", PATHS)
async def test_cors_is_open_where_the_contract_says_and_nowhere_else(broker: BrokerUnderTest, path: str):
    """Security rule E16: `*` without credentials on discovery, JWKS, token, register, revoke; none on pages or introspection."""
    public = path.startswith("/.well-known/") or path in ("/token", "/register", "/revoke")
    headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with broker.http() as http:
        preflight = await http.options(f"{ISSUER}{path}", headers=headers)
        actual = await http.post(f"{ISSUER}{path}", headers={"origin": "https://app.example"})
    for answer in (preflight, actual):
        assert answer.headers.get("access-control-allow-origin") == ("*" if public else None)
        assert "access-control-allow-credentials" not in answer.headers
    if public:
        assert preflight.status_code == 204
        assert "authorization" in preflight.headers["access-control-allow-headers"]


async def test_no_answer_names_a_version_a_path_or_a_statement(broker: BrokerUnderTest):
    """Security rule G13."""
    async with broker.http() as http:
        answers = [await http.request(m, f"{ISSUER}{p}") for p in PATHS for m in ("GET", "POST", "DELETE")]
    for answer in answers:
        for word in ("Traceback", "sqlite", "select ", "site-packages", "uvicorn", "starlette", ".py", "broker.db"):
            assert word not in answer.text
            assert word not in str(answer.headers)


async def test_slow_clients_slow_nobody_else(broker: BrokerUnderTest):
    """Security rule G14: fifty bodies that never end do not hold up anybody's answer."""
    stop = asyncio.Event()

    async def dripping() -> AsyncIterator[bytes]:
        yield b"grant_type="
        await stop.wait()

    form = {"content-type": "application/x-www-form-urlencoded"}
    async with broker.http() as slow, broker.http() as quick:
        stuck = [asyncio.create_task(slow.post(f"{ISSUER}/token", content=dripping(), headers=form)) for _ in range(50)]
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert (await quick.get(f"{ISSUER}/.well-known/jwks.json")).status_code == 200
        stop.set()
        assert {r.status_code for r in await asyncio.gather(*stuck)} <= {400, 401}


async def test_every_json_error_has_the_contracts_members_and_a_request_id(broker: BrokerUnderTest):
    """Contract: {"error", "error_description"} from a fixed vocabulary; the same id in the header and the log."""
    async with broker.http() as http:
        answer = await http.post(f"{ISSUER}/token", data={"grant_type": "password", "client_id": "trusted"})
    assert set(answer.json()) == {"error", "error_description"}
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", answer.json()["error_description"])
    identifier = answer.headers["x-request-id"]
    assert any(json.loads(line).get("request_id") == identifier for line in broker.oracle.log)


async def test_a_page_shows_the_id_that_the_log_has(broker: BrokerUnderTest):
    """Contract: the same id on every error page."""
    page = await broker.browser().open(f"{ISSUER}/callback/corp?state=unknown", accept="text/html")
    identifier = page.headers["x-request-id"]
    assert identifier in page.text
    assert any(json.loads(line).get("request_id") == identifier for line in broker.oracle.log)


async def test_discovery_is_the_same_bytes_in_every_form(tmp_path: Path):
    """Contract, section 6: for an issuer with a path also path-inserted and path-appended, at the origin's root."""
    issuer = f"{ISSUER}/oauth"
    async with running(tmp_path, issuer=issuer) as broker, broker.http() as http:
        forms = [
            *(f"/.well-known/{n}/oauth" for n in ("oauth-authorization-server", "openid-configuration")),
            *(f"/oauth/.well-known/{n}" for n in ("oauth-authorization-server", "openid-configuration")),
            *(f"/.well-known/{n}" for n in ("oauth-authorization-server", "openid-configuration")),
        ]
        answers = [await http.get(f"{ISSUER}{form}") for form in forms]
        assert {a.status_code for a in answers} == {200}
        assert len({a.content for a in answers}) == 1
        document = answers[0].json()
        assert document["issuer"] == issuer
        assert document["token_endpoint"] == f"{issuer}/token"
        assert (await http.get(document["jwks_uri"])).status_code == 200
        assert (await http.get(f"{ISSUER}/livez")).status_code == 200
        assert (await http.post(f"{ISSUER}/token")).status_code == 404
        done = await broker.browser().login()
        assert done.status_code == 303


async def test_introspection_without_credentials_is_challenged(broker: BrokerUnderTest):
    """RFC 6749 section 5.2, RFC 7662 section 2.1; security rule E22."""
    async with broker.http() as http:
        answer = await http.post(f"{ISSUER}/introspect", data={"token": "x"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


async def test_metrics_name_endpoints_without_the_issuers_path(tmp_path: Path):
    """One dashboard for every installation: alike for each endpoint, the callback included."""
    async with running(tmp_path, issuer=f"{ISSUER}/oauth") as broker, broker.http() as http:
        for path in ("/oauth/token", "/oauth/callback/corp", "/oauth/.well-known/jwks.json", "/livez"):
            await http.get(f"{ISSUER}{path}")
        await http.get(f"{ISSUER}/.well-known/oauth-authorization-server/oauth")
        text = broker.metrics()
    found = set(re.findall(r'mcp_broker_requests_total\{endpoint="([^"]+)"', text))
    assert found == {
        "/token",
        "/callback",
        "/.well-known/jwks.json",
        "/livez",
        "/.well-known/oauth-authorization-server",
    }
