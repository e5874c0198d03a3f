"""A browser without a window: cookies, forms and redirects over plain HTTP, each step recorded.

It differs from a plain HTTP client as browsers do: cookies marked Secure travel to loopback over http, navigation carries
Sec-Fetch-* and Origin, one redirect is followed at a time, and a jar of its own makes each instance a person of its own.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2

from tests.e2e.witness import Witness

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 20
PUBLIC_FIELDS = frozenset(  # hidden ones whose knowledge helps nobody
    {"client_id", "code_challenge_method", "email", "login", "nonce", "redirect_uri", "response_mode", "scope"}
)


@dataclass
class Form:
    """A form of a page: its target, its named fields, its named submit buttons."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def offers(self, name: str, value: str) -> bool:
        """Whether there is such a button."""
        return (name, value) in self.buttons


class _Forms(HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self._open: Form | None = None
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        if tag == "form":
            action = urljoin(self._base, have.get("action", ""))
            self._open = Form(action, have.get("method", "get").lower())
            self.found.append(self._open)
        elif self._open is not None and tag in ("input", "button") and have.get("name"):
            self._field(tag, have)

    def _field(self, tag: str, have: dict[str, str]) -> None:
        assert self._open is not None
        kind = have.get("type", "submit" if tag == "button" else "text")
        if kind == "submit":
            self._open.buttons.append((have["name"], have.get("value", "")))
        elif kind not in ("checkbox", "radio") or "checked" in have:
            self._open.fields[have["name"]] = have.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


@dataclass(frozen=True)
class Page:
    """Where a navigation ended. `left` means at an address that was not opened: the client's redirect URI."""

    url: str
    status: int
    headers: httpx2.Headers
    text: str
    left: bool = False

    @property
    def forms(self) -> list[Form]:
        """Every form of the page."""
        parser = _Forms(self.url)
        parser.feed(self.text)
        return parser.found

    @property
    def form(self) -> Form:
        """The page's only form."""
        forms = self.forms
        assert len(forms) == 1, (self.status, self.url, self.text[:2000])
        return forms[0]

    @property
    def params(self) -> dict[str, str]:
        """The query of the page's address; every name must occur once."""
        pairs = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        assert len(dict(pairs)) == len(pairs), "a parameter occurs twice"
        return dict(pairs)


@dataclass(frozen=True)
class Front:
    """A proxy that leads to `origin`, and the authority of the certificate that is shown there."""

    origin: str
    proxy: str
    ca_file: Path


@dataclass(frozen=True)
class Step:
    """One request of a navigation, without its query."""

    method: str
    address: str
    status: int


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _mounts(front: Front) -> dict[str, httpx2.BaseTransport]:
    trusted = ssl.create_default_context(cafile=front.ca_file)
    return {front.origin: httpx2.HTTPTransport(proxy=front.proxy, verify=trusted, trust_env=False)}


class Browserless:
    """One person's browser. A redirect to an address that starts with `leave_at` ends the navigation there, unopened."""

    def __init__(self, witness: Witness, *, leave_at: str | None = None, front: Front | None = None) -> None:
        """Start with an empty jar."""
        policy = DefaultCookiePolicy(secure_protocols=("http", "https"))
        self._http = httpx2.Client(
            cookies=CookieJar(policy), timeout=30, trust_env=False, mounts={} if front is None else _mounts(front)
        )
        self._witness = witness
        self._leave_at = leave_at
        self.steps: list[Step] = []

    def __enter__(self) -> Self:
        """Return the browser."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._http.close()

    @property
    def cookies(self) -> dict[str, str]:
        """The jar, by name."""
        return {cookie.name: cookie.value or "" for cookie in self._http.cookies.jar}

    def visited(self, prefix: str) -> list[Step]:
        """The steps whose address starts with `prefix`."""
        return [step for step in self.steps if step.address.startswith(prefix)]

    def open(self, url: str, *, follow: bool = True) -> Page:
        """Navigate as typing an address does."""
        return self._navigate("GET", url, {}, None, follow=follow)

    def submit(
        self,
        page: Page,
        form: Form,
        button: tuple[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        follow: bool = True,
    ) -> Page:
        """Press a button of a form, filling in `fields`."""
        data = {**form.fields, **(fields or {})}
        if button is not None:
            assert button in form.buttons, (button, form.buttons)
            data[button[0]] = button[1]
        for name, value in form.fields.items():
            if name in PUBLIC_FIELDS:
                continue
            self._witness.keep(f"hidden field {name} of {urlsplit(page.url).path}", value)
        return self._navigate(form.method.upper(), form.action, data, page.url, follow=follow)

    def script(self, page: Page, method: str, path: str, body: object) -> int:
        """Do what a script of the page would: a JSON request to its own site; returns the status of the answer."""
        url = urljoin(page.url, path)
        return self._http.request(method, url, json=body, headers={"Origin": _origin(page.url)}).status_code

    def go(self, page: Page, url: str) -> Page:
        """Navigate as a link or script of the page does."""
        return self._navigate("GET", url, {}, page.url, follow=True)

    def _navigate(self, method: str, url: str, data: dict[str, str], initiator: str | None, *, follow: bool) -> Page:
        site = "none" if initiator is None else "same-origin" if _origin(initiator) == _origin(url) else "cross-site"
        for _ in range(MOST_REDIRECTS):
            page, answer = self._request(method, url, data, initiator, site)
            if answer.status_code not in REDIRECTS or not follow:
                return page
            target = urljoin(url, answer.headers["location"])
            self._witness.see_url(target)
            if self._leave_at is not None and target.startswith(self._leave_at):
                return Page(target, answer.status_code, answer.headers, "", left=True)
            if answer.status_code not in (307, 308):
                method, data = "GET", {}
            if site != "none" and _origin(url) != _origin(target):
                site = "cross-site"
            url = target
        raise AssertionError(f"more than {MOST_REDIRECTS} redirects")

    def _request(
        self, method: str, url: str, data: dict[str, str], initiator: str | None, site: str
    ) -> tuple[Page, httpx2.Response]:
        headers = {
            "Accept": "text/html",
            "Sec-Fetch-Site": site,
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
        }
        if method == "POST" and initiator is not None:
            headers["Origin"] = _origin(initiator)
        answer = self._http.request(method, url, data=data or None, headers=headers)
        address = url.partition("?")[0]
        self.steps.append(Step(method, address, answer.status_code))
        self._witness.see_url(url)
        self._witness.see_answer(address, answer.status_code)
        self._witness.see_cookies(urlsplit(url).netloc, answer.headers.get_list("set-cookie"))
        return Page(url, answer.status_code, answer.headers, answer.text), answer
