"""What a run saw and what must hold of it afterwards: the oracles of the security rules.

Whoever drives a login tells the witness every secret that passed by and every answer of the broker; when the broker has stopped, the
witness compares them with everything that the broker wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

SECRET_PARAMETERS = frozenset(
    {"code", "state", "code_verifier", "refresh_token", "access_token", "id_token", "client_secret"}
)
PUBLIC_COOKIES = frozenset({"GLEWLWYD2_OIDC_SID"})  # Glewlwyd's `sid`, which stands in the ID token and in the grant
SHORTEST = 8  # characters; anything shorter occurs in a log by chance


@dataclass
class Witness:
    """Secrets by what they are, and answers that no request may get. `expected_faults` lists the 5xx that a test provokes."""

    secrets: dict[str, str] = field(default_factory=dict)
    client_states: set[str] = field(default_factory=set)  # the app's own; the broker may keep them
    faults: list[str] = field(default_factory=list)
    expected_faults: set[int] = field(default_factory=set)

    def keep(self, what: str, secret: str | None) -> None:
        """Remember a secret."""
        if secret and len(secret) >= SHORTEST:
            self.secrets[secret] = what

    def keep_all(self, what: str, values: Mapping[str, str]) -> None:
        """Remember those members that are secret by their name."""
        for name in SECRET_PARAMETERS & values.keys():
            self.keep(f"{name} of {what}", values[name])

    def see_url(self, url: str) -> None:
        """Remember what a URL carries."""
        parts = urlsplit(url)
        params = dict(parse_qsl(parts.query))
        self.keep_all(f"{parts.netloc}{parts.path}", params)
        if parts.path.endswith("/authorize"):
            self.client_states.add(params.get("state", ""))

    def see_cookies(self, host: str, headers: Iterable[str]) -> None:
        """Remember the values of Set-Cookie headers."""
        for header in headers:
            name, _, rest = header.partition("=")
            if name in PUBLIC_COOKIES:
                continue
            self.keep(f"cookie {name} of {host}", rest.partition(";")[0].strip('"'))

    def see_answer(self, url: str, status: int) -> None:
        """Remember a server fault."""
        if status >= 500:
            self.faults.append(f"{status} from {urlsplit(url).path}")

    def check(self, written: str) -> None:
        """Assert that no secret stands in what the broker wrote and that no answer was a server fault."""
        leaked = [what for secret, what in self.secrets.items() if secret in written]
        assert not leaked, f"secrets in the broker's log: {leaked}"
        unexpected = [fault for fault in self.faults if int(fault[:3]) not in self.expected_faults]
        assert not unexpected, unexpected
        assert "Traceback" not in written, written[written.index("Traceback") :][:4000]

    def check_kept(self, kept: str) -> None:
        """Assert that no secret stands in clear in a database (rule G11)."""
        leaked = [what for secret, what in self.secrets.items() if secret in kept and secret not in self.client_states]
        assert not leaked, f"secrets in the broker's database: {leaked}"
