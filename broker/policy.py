"""Who gets what: one pure function, called by every grant and every refresh (architecture, section 7, "Policy rules").

What is not known never helps: an unknown attribute meets no condition of an `allow` and every condition of a `deny`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from broker.model import Client, Identity, Resource
from broker.settings import PolicyRule, ProviderConfig, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """Who asks for what, through which client. `scopes` are known to the resource; `now` in seconds."""

    identity: Identity
    client: Client
    resource: Resource
    scopes: tuple[str, ...]
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person may do. Lifetimes in seconds; `rule` decided, `reason` says why in words an administrator can act on."""

    allowed: bool
    scopes: tuple[str, ...]
    access_token_ttl: int
    refresh_token_ttl: int
    rule: str
    reason: str


class Policy:
    """The rules of one configuration. Raises nothing: every request has a decision."""

    def __init__(self, settings: Settings) -> None:
        """Keep the rules and each provider's restrictions."""
        self._rules = settings.policy
        self._providers: Mapping[str, ProviderConfig] = {p.id: p for p in settings.providers}
        self._access_token_ttl = settings.access_token_ttl
        self._refresh_token_ttl = settings.refresh_token_ttl

    def may_sign_in(self, identity: Identity) -> str | None:
        """Return None when the person may sign in at all, else why not, naming the setting."""
        config = self._providers.get(identity.provider)
        if config is None:
            return f"provider {identity.provider} is not configured any more"
        name = f"BROKER_PROVIDERS__{config.id.upper()}"
        if config.allowed_domains is not None:
            domain = self._domain(identity)
            if domain is None or domain not in config.allowed_domains:
                return f"{name}__ALLOWED_DOMAINS does not hold a domain this provider vouches for"
        if config.allowed_groups is not None:
            if identity.groups is None:
                return f"{name}__ALLOWED_GROUPS is set and the groups are unknown: {identity.groups_unknown}"
            if not _any_glob(config.allowed_groups, identity.groups):
                return f"{name}__ALLOWED_GROUPS holds none of this person's groups"
        return None

    def decide(self, request: AccessRequest) -> Decision:
        """Decide one request: the union of the matching `allow` rules, less what matching `deny` rules take away."""
        refused = self.may_sign_in(request.identity)
        if refused is not None:
            return self._refuse("sign-in", refused)
        everything = frozenset(request.resource.scopes)
        access_ttls = [request.resource.access_token_ttl or self._access_token_ttl]
        refresh_ttls = [self._refresh_token_ttl]
        granted, names = (set(everything), ["no rules"]) if not self._rules else (set[str](), [])
        for rule in self._rules:
            if rule.effect != "allow" or not self._matches(rule, request):
                continue
            granted |= everything if rule.scopes is None else everything & set(rule.scopes)
            names.append(rule.name)
            access_ttls += [] if rule.access_token_ttl is None else [rule.access_token_ttl]
            refresh_ttls += [] if rule.refresh_token_ttl is None else [rule.refresh_token_ttl]
        if not names:
            return self._refuse("no match", f"no allow rule matches this person on {request.resource.id}")
        for rule in self._rules:
            if rule.effect == "deny" and self._matches(rule, request):
                granted -= everything if rule.scopes is None else set(rule.scopes)
                names.append(rule.name)
                if not granted:
                    return self._refuse(
                        rule.name, f"deny rule {rule.name} matches this person on {request.resource.id}"
                    )
        scopes = tuple(s for s in request.scopes if s in granted)
        if not scopes:
            asked = " ".join(request.scopes) or "nothing"
            return self._refuse(", ".join(names), f"the matching rules permit none of the scopes asked ({asked})")
        return Decision(
            allowed=True,
            scopes=scopes,
            access_token_ttl=min(access_ttls),
            refresh_token_ttl=min(refresh_ttls),
            rule=", ".join(names),
            reason="permitted",
        )

    def _refuse(self, rule: str, reason: str) -> Decision:
        return Decision(allowed=False, scopes=(), access_token_ttl=0, refresh_token_ttl=0, rule=rule, reason=reason)

    def _matches(self, rule: PolicyRule, request: AccessRequest) -> bool:
        deny = rule.effect == "deny"
        return (
            (not rule.resource or request.resource.id in rule.resource or request.resource.url in rule.resource)
            and (not rule.provider or request.identity.provider in rule.provider)
            and (not rule.client or request.client.client_id in rule.client)
            and (not rule.user or self._user(rule.user, request.identity, deny=deny))
            and (not rule.domain or self._in_domain(rule.domain, request.identity, deny=deny))
            and (not rule.group or _meets(rule.group, request.identity.groups, deny=deny))
        )

    def _user(self, wanted: tuple[str, ...], identity: Identity, *, deny: bool) -> bool:
        if identity.subject in wanted or identity.upstream_subject in wanted:
            return True
        email = identity.email if deny or self._domain(identity) else None
        return email is not None and email.lower() in {w.lower() for w in wanted if "@" in w}

    def _in_domain(self, wanted: tuple[str, ...], identity: Identity, *, deny: bool) -> bool:
        domain = domain_of(identity.email) if deny else self._domain(identity)
        if domain is None:
            return deny
        return domain in {w.lower() for w in wanted}

    def _domain(self, identity: Identity) -> str | None:
        """Return the domain of an e-mail that the provider speaks for (rule B10)."""
        domain = domain_of(identity.email) if identity.email_verified else None
        config = self._providers.get(identity.provider)
        if domain is not None and config is not None and config.email_domains is not None:
            return domain if domain in config.email_domains else None
        return domain


def domain_of(email: str | None) -> str | None:
    """Return the lower-case domain of an e-mail address; None when it is absent or has none."""
    if email is None or email.count("@") != 1:
        return None
    return email.rpartition("@")[2].lower() or None


def _meets(wanted: tuple[str, ...], have: tuple[str, ...] | None, *, deny: bool) -> bool:
    return deny if have is None else _any_glob(wanted, have)


def _any_glob(wanted: Iterable[str], have: Iterable[str]) -> bool:
    values = tuple(have)
    return any(_glob(pattern).fullmatch(value) for pattern in wanted for value in values)


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    """Compile a case-sensitive glob whose `*` stops at a slash."""
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")))
