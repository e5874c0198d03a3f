"""Who may sign in through a provider at all: the restrictions that its settings name. What is unknown lets nobody in. Pure."""

from __future__ import annotations

from broker.model import Identity
from broker.policy import globs
from broker.policy.attributes import counted_email, domain_of
from broker.settings import ProviderConfig


def barred(identity: Identity, config: ProviderConfig | None) -> str | None:
    """Return None when the person may sign in, else why not, naming the setting."""
    if config is None:
        return f"provider {identity.provider} is not configured any more"
    name = f"BROKER_PROVIDERS__{config.id.upper()}"
    if config.allowed_domains is not None and domain_of(counted_email(identity, config)) not in config.allowed_domains:
        return f"{name}__ALLOWED_DOMAINS does not hold a domain this provider vouches for"
    if config.allowed_groups is not None:
        if identity.groups is None:
            return f"{name}__ALLOWED_GROUPS is set and the groups are unknown: {identity.groups_unknown}"
        if not globs.any_match(config.allowed_groups, identity.groups):
            return f"{name}__ALLOWED_GROUPS holds none of this person's groups"
    return None
