"""The broker's three cookies (security rules A2, A8, G9; RFC 6265bis section 4.1.3.1 for `__Host-`).

csrf: set when a page with a form is rendered. login: set only at approval, one secret a browser, reused while it lives.
session: set after a login, new at every login. On a loopback http issuer the same names without the prefix.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from broker.settings import Settings
from broker.web import cookies

LOGIN_LIFE = 600  # seconds; as long as a pending login
HANDLE = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes of unpadded base64url


@dataclass(frozen=True, slots=True)
class Browser:
    """What a browser presented: each a well-formed handle, or None."""

    csrf: str | None
    login: str | None
    session: str | None


class BrowserCookies:
    """Reads and writes the cookies."""

    def __init__(self, settings: Settings) -> None:
        """Choose the names by the issuer's scheme."""
        self._secure = settings.secure_cookies
        prefix = "__Host-" if self._secure else ""
        self.csrf, self.login, self.session = (f"{prefix}broker-{kind}" for kind in ("csrf", "login", "session"))

    def read(self, request: Request) -> Browser:
        """Return the handles; whatever is malformed counts as absent."""
        found = cookies(request)
        return Browser(*(self._handle(found.get(name)) for name in (self.csrf, self.login, self.session)))

    def _handle(self, value: str | None) -> str | None:
        return value if value is not None and HANDLE.fullmatch(value) else None

    def set(self, response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
        """Set one cookie to a handle of ours; `max_age` in seconds, None until the browser closes."""
        age = "" if max_age is None else f"; Max-Age={max_age}"
        cookie = f"{name}={value}; HttpOnly{age}; Path=/; SameSite=lax{'; Secure' if self._secure else ''}"
        response.raw_headers.append((b"set-cookie", cookie.encode("ascii")))

    def clear(self, response: Response, name: str) -> None:
        """Delete one cookie."""
        response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")
