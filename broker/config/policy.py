"""Policy rules as they are written (architecture, section 7): names checked, values normalised, ambiguity refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from broker.config.faults import Faults, Wrong, nearest, quoted
from broker.config.places import DOMAINS
from broker.config.reader import Reader
from broker.config.resources import find
from broker.config.table import BROKER, POLICY, variable
from broker.model import Resource
from broker.settings import PolicyRule, ProviderConfig
from providers.base import SpeaksFor

_LISTS = ("client", "user", "tenant", "organization", "group", "role", "acr", "amr")  # taken as they are written
NEEDS_PROVIDER = ("group", "role", "organization", "tenant", "acr", "amr")  # strangers choose such names elsewhere
_OF_A_PERSON = {  # condition -> the attribute that a provider gives or not
    **{name: name for name in ("user", "domain", "tenant", "organization", "group", "role", "acr", "amr")},
    "max_login_age": "auth_time",
}


def read_policy(
    reader: Reader, *, providers: tuple[str, ...], resources: tuple[Resource, ...]
) -> tuple[PolicyRule, ...]:
    """Return the rules in their order; every fault is noted. `providers` are the ids under which one is configured."""
    tables: Sequence[Mapping[str, Any]] = reader.read(("policy",), BROKER["policy"]) or ()
    name, origin = reader.place(("policy",))
    rules: list[PolicyRule] = []
    for number, table in enumerate(tables, start=1):
        rule = _Rule(reader.faults, f"{name}, rule {number}", origin).read(table, number, providers, resources)
        if rule.name in {r.name for r in rules}:
            reader.faults.add(
                f"{name}, rule {number}", origin, f"is named {quoted(rule.name)}, as another rule is", "rename it"
            )
        rules.append(rule)
    return tuple(rules)


def unmet_rules(rules: tuple[PolicyRule, ...], providers: tuple[ProviderConfig, ...]) -> list[str]:
    """Return a sentence for each condition over an attribute that none of the rule's providers ever gives."""
    sentences = []
    for rule in rules:
        concerned = [p for p in providers if not rule.provider or p.id in rule.provider]
        for condition, attribute in _OF_A_PERSON.items():
            blind = [p.id for p in concerned if attribute not in p.gives]
            if getattr(rule, condition) and blind and len(blind) == len(concerned):
                effect = "holds for everybody" if rule.effect == "deny" else "never holds"
                sentences.append(
                    f"Policy rule {quoted(rule.name)} is about {condition}, which {' and '.join(blind)} never gives: it {effect}"
                )
    return sentences


def unheard_addresses(rules: tuple[PolicyRule, ...], providers: tuple[ProviderConfig, ...]) -> list[str]:
    """Return a sentence for each `allow` over addresses of which none of its providers speaks for any (security rule B10)."""
    sentences = []
    for rule in rules:
        concerned = [p for p in providers if not rule.provider or p.id in rule.provider]
        of_users = tuple(user.rpartition("@")[2].lower() if "@" in user else None for user in rule.user)
        for condition, domains in (("domain", rule.domain), ("user", of_users)):
            if rule.effect == "deny" or not domains or not concerned or None in domains:
                continue
            if not any(_speaks_for(p, str(domain)) for p in concerned for domain in domains):
                names = " and ".join(variable(("providers", p.id, "email_domains")) for p in concerned)
                sentences.append(
                    f"Policy rule {quoted(rule.name)} is about {condition}, and no address there counts: it never holds. "
                    f"{names} must hold the domain"
                )
    return sentences


def _speaks_for(config: ProviderConfig, domain: str) -> bool:
    """Tell whether an address in a domain can count at all, as `policy.attributes.counted_email` judges those of people."""
    if config.email_domains is None:
        return config.speaks_for is SpeaksFor.VERIFIED
    return domain in config.email_domains


def unmet_demands(resources: tuple[Resource, ...], providers: tuple[ProviderConfig, ...]) -> list[str]:
    """Return a sentence for each demand of a resource that none of the providers can ever meet."""
    sentences = []
    for resource in resources:
        demands = {"acr": ("acr", resource.require.acr), "max_login_age": ("auth_time", resource.require.max_login_age)}
        for name, (attribute, demand) in demands.items():
            if demand and providers and not any(attribute in p.gives for p in providers):
                blind = " and ".join(p.id for p in providers)
                sentences.append(f"Resource {resource.id} requires {name}, which {blind} never gives: nobody gets in")
    return sentences


def ambiguous_users(rules: tuple[PolicyRule, ...], providers: tuple[ProviderConfig, ...]) -> list[str]:
    """Return a sentence for each rule that names an upstream subject which another provider may give to somebody else."""
    return [
        f"Policy rule {quoted(rule.name)} names user {quoted(user)} and no provider, while there are several: "
        "another one may give that subject to somebody else"
        for rule in rules
        if len(providers) > 1 and not rule.provider and rule.effect == "allow"
        for user in rule.user
        if "@" not in user and not user.startswith("u_")
    ]


class _Rule:
    """One rule while it is read."""

    def __init__(self, faults: Faults, name: str, origin: str) -> None:
        self._faults = faults
        self._name = name
        self._origin = origin

    def read(
        self, table: Mapping[str, Any], number: int, providers: tuple[str, ...], resources: tuple[Resource, ...]
    ) -> PolicyRule:
        values = self._values(table)
        for wanted in values.get("provider", ()):
            if wanted not in providers:
                close = nearest(wanted, providers)
                self._refuse(
                    f"names provider {quoted(wanted)}, which is not configured",
                    f"write {close}" if close else "write a provider's id",
                )
        if len(providers) > 1 and not table.get("provider"):
            for condition in NEEDS_PROVIDER:
                if condition in table:
                    self._refuse(
                        f"is about {condition} and names no provider, while there are several",
                        "add provider: elsewhere anybody may have the same",
                    )
        if values.get("effect") == "deny" and "max_login_age" in table:
            self._refuse(
                "is a deny about max_login_age, which only an allow can have",
                "write an allow for sign-ins that are young enough",
            )
        urls = self._resources(values.get("resource", ()), resources)
        self._check_scopes(values.get("scopes") or (), [r for r in resources if not urls or r.url in urls])
        return PolicyRule(
            name=values.get("name") or f"rule {number}",
            effect=values.get("effect") or "allow",
            resource=urls,
            provider=values.get("provider", ()),
            domain=self._domains(values.get("domain", ())),
            **{name: values.get(name, ()) for name in _LISTS},
            max_login_age=values.get("max_login_age"),
            scopes=values.get("scopes"),
            access_token_ttl=values.get("access_token_ttl"),
            refresh_token_ttl=values.get("refresh_token_ttl"),
        )

    def _values(self, table: Mapping[str, Any]) -> dict[str, Any]:
        values = {}
        for key, value in table.items():
            setting = POLICY.get(key)
            if setting is None:
                close = nearest(key, POLICY)
                self._refuse(
                    f"has {quoted(key)}, which is no part of a rule",
                    f"write {close}" if close else f"use {', '.join(POLICY)}",
                )
            else:
                try:
                    values[key] = setting.kind.parse(value)
                except Wrong as wrong:
                    self._refuse(f"has {key}, which {wrong.wrong}", wrong.mend)
        return values

    def _resources(self, named: tuple[str, ...], resources: tuple[Resource, ...]) -> tuple[str, ...]:
        urls = []
        for name in named:
            resource = find(resources, name)
            if resource is None:
                close = nearest(name, [r.id for r in resources])
                self._refuse(
                    f"names resource {quoted(name)}, which is not configured",
                    f"write {close}" if close else "write a resource's id or URL",
                )
            else:
                urls.append(resource.url)
        return tuple(urls)

    def _check_scopes(self, scopes: tuple[str, ...], resources: list[Resource]) -> None:
        known = {scope for resource in resources for scope in resource.scopes}
        for scope in scopes:
            if scope not in known:
                close = nearest(scope, known)
                self._refuse(
                    f"names scope {quoted(scope)}, which none of its resources has",
                    f"write {close}" if close else "write a scope of the resource",
                )

    def _domains(self, named: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(DOMAINS.parse(list(named)))
        except Wrong as wrong:
            self._refuse(f"has domain, which {wrong.wrong}", wrong.mend)
            return ()

    def _refuse(self, wrong: str, mend: str) -> None:
        self._faults.add(self._name, self._origin, wrong, mend)
