"""What of a person counts for a policy: each attribute known, perhaps as nothing, or unknown (security rule B10). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from broker.model import Client, Identity, Resource
from broker.settings import ProviderConfig
from providers.base import SpeaksFor

Known = tuple[str, ...] | None  # None: unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One request as the conditions see it. `email` is one that the provider speaks for, `claimed_email` any; `login_age` in seconds."""

    resource: tuple[str, str]  # id and URL
    client: str
    provider: str
    subject: str
    upstream_subject: str
    email: str | None
    claimed_email: str | None
    tenant: Known
    organization: Known
    group: Known
    role: Known
    acr: str | None
    amr: Known
    login_age: int | None


def facts_of(
    identity: Identity, client: Client, resource: Resource, config: ProviderConfig | None, *, now: int
) -> Facts:
    """Return what counts. `config` is the person's provider, None when it is not configured any more: it speaks for nobody."""
    return Facts(
        resource=(resource.id, resource.url),
        client=client.client_id,
        provider=identity.provider,
        subject=identity.subject,
        upstream_subject=identity.upstream_subject,
        email=counted_email(identity, config),
        claimed_email=identity.email,
        tenant=identity.attributes.get("tenant"),
        organization=identity.attributes.get("organization"),
        group=identity.groups,
        role=identity.attributes.get("role"),
        acr=identity.acr,
        amr=identity.amr,
        login_age=now - identity.auth_time if identity.auth_time_stated else None,
    )


def counted_email(identity: Identity, config: ProviderConfig | None) -> str | None:
    """Return the e-mail address if the person's provider speaks for it, else None."""
    domain = domain_of(identity.email)
    if domain is None or config is None:
        return None
    listed = config.email_domains is not None and domain in config.email_domains
    not_excluded = config.email_domains is None or listed
    spoken_for = {
        SpeaksFor.VERIFIED: identity.email_verified and not_excluded,
        SpeaksFor.LISTED: identity.email_verified and listed,
        SpeaksFor.VOUCHED: listed,
    }
    return identity.email if spoken_for[config.speaks_for] else None


def domain_of(email: str | None) -> str | None:
    """Return the lower-case domain of an e-mail address; None when it is absent or has none."""
    if email is None or email.count("@") != 1:
        return None
    return email.rpartition("@")[2].lower() or None
