"""The table of settings: one source for the loader, `config show` and `config schema` (architecture, section 7).

A name is the variable's without BROKER_ in lower case; a default is written as one would write the setting. `later` marks what
the contract names and this version does not do: it is refused by name, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from broker.config.kinds import (
    BOOLEAN,
    CONDITIONS,
    JSON_OBJECT,
    LIST,
    MAP,
    OPTION,
    PEM,
    RATE,
    REQUIRE,
    RULES,
    TEXT,
    Kind,
    choice,
    duration,
    integer,
)
from broker.config.places import (
    ADDRESS,
    CLIENT_ID,
    CREDENTIAL,
    DATABASE,
    DOMAINS,
    FILE,
    HOSTS,
    HTTP_URL,
    ISSUER,
    MASTER_KEYS,
    NETWORKS,
    PROXY,
    SCHEMES,
    URLS,
)
from broker.oauth import AUTH_METHODS
from broker.settings import DAY
from providers.base import ProviderType

SIGNING_ALGS = ("RS256", "ES256", "Ed25519")
SPAN = duration()
ROTATION = duration(least=DAY, why=" (a new key is published two hours before it signs)")
SPAN_OR_NONE = duration(least=0)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `help` is a sentence for `config schema`.

    `secret` ones also take `…_FILE` and references, and never print; `filed` ones may stand in a file of their own.
    """

    name: str
    kind: Kind
    help: str
    default: str | None = None
    secret: bool = False
    later: bool = False
    filed: bool = False

    @property
    def has_file(self) -> bool:
        """Whether there is a form `…_FILE` of it."""
        return self.secret or self.filed


def _table(*settings: Setting) -> Mapping[str, Setting]:
    return {setting.name: setting for setting in settings}


BROKER = _table(
    Setting("config", TEXT, "The file with these settings; only in the environment or as --config.", "broker.toml"),
    Setting("issuer", ISSUER, "The issuer, exactly as clients see it; http only on loopback."),
    Setting("bind", ADDRESS, "Where the broker listens.", "127.0.0.1:8080"),
    Setting("admin_bind", ADDRESS, "Where probes and metrics listen.", "127.0.0.1:8081"),
    Setting("database_url", DATABASE, "sqlite:///path or postgresql://….", "sqlite:///broker.db", secret=True),
    Setting("master_key", MASTER_KEYS, "Base64url keys of 32 bytes; the first encrypts, all decrypt.", secret=True),
    Setting("provider_aliases", BOOLEAN, "Whether short forms such as KEYCLOAK_ISSUER configure providers.", "true"),
    Setting("policy", RULES, "Rules that say who gets what; without a rule, whoever may sign in.", filed=True),
    Setting("dcr", BOOLEAN, "Dynamic client registration (RFC 7591).", "true"),
    Setting("dcr_rate", RATE, "Registrations for each source.", "100/h"),
    Setting("dcr_unused", integer(1, 100_000_000), "Registered clients without a grant, in all.", "10000"),
    Setting("dcr_unused_ttl", SPAN, "When a registered client that is not used expires.", "30d"),
    Setting("dcr_token", TEXT, "An initial access token that registration then needs.", secret=True),
    Setting("cimd", BOOLEAN, "Client ID Metadata Documents: clients whose id is a URL.", "true"),
    Setting("cimd_allowed_hosts", HOSTS, "If set, only these hosts' documents; a named port may be other than 443."),
    Setting("cimd_ca_file", FILE, "A CA bundle for fetching documents, in PEM."),
    Setting("cimd_max_bytes", integer(256, 1_048_576), "The largest document.", "5120"),
    Setting("cimd_proxy", PROXY, "The proxy that fetches documents.", secret=True),
    Setting("redirect_schemes", SCHEMES, "Private-use URI schemes that redirect URIs may have."),
    Setting("access_token_ttl", SPAN, "How long an access token lives.", "15m"),
    Setting("refresh_token_ttl", SPAN, "How long a grant lives unused.", "30d"),
    Setting("grant_ttl", SPAN, "How long a grant lives in all.", "90d"),
    Setting("refresh_grace", duration(least=0), "How long a rotated refresh token gives the same successor.", "120s"),
    Setting("session_ttl", SPAN, "How long a browser's session lives.", "12h"),
    Setting("key_rotation", ROTATION, "How long a signing key signs; at least 1d.", "90d"),
    Setting("audit_retention", SPAN, "How long audit events are kept.", "400d"),
    Setting("remember_consent", BOOLEAN, "Whether the consent page may be shortened the next time.", "false"),
    Setting("default_resource", TEXT, "The resource (id or URL) of requests that name none."),
    Setting("signing_alg", choice(*SIGNING_ALGS), "The algorithm of access tokens.", "RS256"),
    Setting(
        "assertion_audience",
        choice("issuer", "issuer_or_token_endpoint"),
        "What a client assertion's aud may be.",
        "issuer",
    ),
    Setting("trusted_proxies", NETWORKS, "Whose forwarded headers count."),
    Setting("log_format", choice("json", "text"), "How log lines look.", "json"),
    Setting("log_level", choice("debug", "info", "warning", "error"), "The least level that is logged.", "info"),
    Setting(
        "loopback_same_source",
        choice("audit", "enforce"),
        "What happens when a loopback client's code is redeemed from another address than approved it.",
        "audit",
    ),
    Setting("drain", duration(least=0), "How long the broker serves after it says that it stops.", "5s"),
    Setting(
        "admin_groups", LIST, "Groups (globs) of administrators; provider:group where there are several providers."
    ),
    Setting("debug_login", BOOLEAN, "A page at /debug/login that shows administrators what a login gives.", "false"),
)

PROVIDER = _table(  # what every type of provider takes
    Setting("type", TEXT, "The kind of provider; by default the id, where that is one."),
    Setting("issuer", HTTP_URL, "The provider's issuer, exactly."),
    Setting("client_id", TEXT, "The client that the provider knows the broker as."),
    Setting("client_secret", TEXT, "That client's secret.", secret=True),
    Setting("scopes", LIST, "The scopes to ask for; by default the type's own."),
    Setting("display_name", TEXT, "The words on its button; by default the id."),
    Setting("ca_file", FILE, "A CA bundle for this provider, in PEM."),
    Setting("proxy", PROXY, "The proxy to this provider.", secret=True),
    Setting("timeout", SPAN, "How long one request to it may take.", "10s"),
    Setting("recheck_interval", SPAN, "How old its last word about a person may be.", "15m"),
    Setting("email_domains", DOMAINS, "The domains of e-mail addresses that it speaks for."),
    Setting("acr_map", MAP, "Its acr values, each with ours."),
    Setting("identity_namespace", TEXT, "Keeps its people apart from those of another provider with the same issuer."),
    Setting("allowed_domains", DOMAINS, "Only people with an e-mail address in these domains may sign in."),
    Setting("allowed_groups", LIST, "Only members of these groups (globs) may sign in."),
    Setting("allow_anyone", BOOLEAN, "Says that anyone on the internet may sign in.", "false"),
    Setting("logout_ends", choice("grants", "sessions"), "What a logout there ends here.", "grants"),
    Setting(
        "stale_limit", SPAN_OR_NONE, "For how long after a due re-check a refresh is answered while it is down.", "0"
    ),
)

# Settings that some provider types take; which ones, the types say (`ProviderType.options`).
OPTIONS = _table(
    Setting("allowed_tenants", OPTION, "Tenants whose people may sign in."),
    Setting("allowed_orgs", OPTION, "Organisations whose members may sign in, by login or org:<id>."),
    Setting("hosted_domains", OPTION, "Hosted domains whose people may sign in."),
    Setting("groups_claim", OPTION, "The claim that holds the groups."),
    Setting("roles_claim", OPTION, "The claim that holds the roles."),
    Setting("base_url", OPTION, "Where the provider is."),
    Setting("api_url", OPTION, "Where its API is; by default derived from base_url."),
    Setting("tenant", OPTION, "The tenant, by its id; or organizations, common, consumers."),
    Setting("authority", OPTION, "The authority of a sovereign cloud."),
    Setting("graph_url", OPTION, "The Graph API of a sovereign cloud."),
    Setting("auth_method", OPTION, "How the broker authenticates there; by default what it has."),
    Setting("private_key", PEM, "The key that it authenticates with, in PEM.", secret=True),
    Setting("certificate", PEM, "The certificate of that key, in PEM."),
    Setting("federated_token_file", OPTION, "The file with a workload's token, read again for every request."),
    Setting("service_account_file", OPTION, "The file with a service account's key."),
    Setting("admin_subject", OPTION, "Whom the service account acts for."),
    Setting("url", OPTION, "Where the server is; with realm it gives the issuer."),
    Setting("realm", OPTION, "The realm; with url it gives the issuer."),
    Setting("organization", OPTION, "The organization to sign in to, by org_… id or name; others are refused."),
    Setting("discovery_url", OPTION, "Where its metadata is; by default derived from issuer."),
    Setting(
        "userinfo",
        OPTION,
        "Whether UserInfo is asked: auto (where the ID token lacks groups or e-mail), always or never.",
    ),
    Setting(
        "require_iss", OPTION, "Whether its answers must name their issuer (RFC 9207); by default as its metadata says."
    ),
    Setting(
        "offline_access", OPTION, "How a refresh token is asked for: silent, consent (with prompt=consent) or never."
    ),
    Setting("key_id", OPTION, "The kid of that key, as the provider knows it."),
    Setting("trust_email_verified", OPTION, "Whether its email_verified counts: true or false."),
)

RESOURCE = _table(
    Setting("url", HTTP_URL, "The MCP server's URL: its identifier, and the audience of its tokens."),
    Setting("name", TEXT, "Its name on the consent page; by default host and path."),
    Setting("scopes", MAP, "Its scopes, each with words for the consent page; by default mcp."),
    Setting("default_scopes", LIST, "The scopes of a request that names none; by default all."),
    Setting("secret", CREDENTIAL, "Lets the server introspect tokens (HTTP Basic: id and secret).", secret=True),
    Setting("signing_alg", choice(*SIGNING_ALGS), "The algorithm of its tokens; by default the broker's."),
    Setting("token_typ", choice("at+jwt", "JWT"), "The typ of its tokens.", "at+jwt"),
    Setting("access_token_ttl", SPAN, "How long its tokens live; by default the broker's."),
    Setting("require", REQUIRE, "What a sign-in must have been: acr (any of these), max_login_age."),
)

RESOURCE_URLS = Setting("resources", URLS, "Short form: the URLs of MCP servers with the one scope mcp.")

CLIENT = _table(
    Setting("client_id", CLIENT_ID, "The client id; by default the lower-cased id of this entry."),
    Setting("name", TEXT, "Its name on the consent page; by default the client id."),
    Setting("client_secret", CREDENTIAL, "Its secret; then it authenticates with it.", secret=True),
    Setting("redirect_uris", LIST, "Its redirect URIs, compared exactly."),
    Setting("grant_types", LIST, "The grants that it may use.", "authorization_code,refresh_token"),
    Setting("token_endpoint_auth_method", choice(*AUTH_METHODS), "How it authenticates; by default what it has."),
    Setting("jwks", JSON_OBJECT, "Its public keys, for private_key_jwt."),
    Setting("jwks_uri", HTTP_URL, "Where its public keys are, for private_key_jwt."),
    Setting("scope", TEXT, "The scopes that it may ask for, separated by spaces; by default all."),
    Setting("default_resource", TEXT, "The resource (id or URL) of its requests that name none."),
)

POLICY = _table(
    Setting("name", TEXT, "The rule's name, for the log; by default rule 1, rule 2, …."),
    Setting("effect", choice("allow", "deny"), "What a match does.", "allow"),
    Setting("resource", CONDITIONS, "Resource ids or URLs."),
    Setting("provider", CONDITIONS, "Provider ids."),
    Setting("client", CONDITIONS, "Client ids."),
    Setting("user", CONDITIONS, "Our subjects, upstream subjects or verified e-mail addresses."),
    Setting("domain", CONDITIONS, "Domains of verified e-mail addresses."),
    Setting("group", CONDITIONS, "Groups; * is any text without a slash."),
    Setting("scopes", CONDITIONS, "The scopes given (or, by a deny, taken away); by default all of the resource."),
    Setting("access_token_ttl", SPAN, "The longest life of an access token."),
    Setting("refresh_token_ttl", SPAN, "The longest unused life of a grant."),
    Setting("tenant", CONDITIONS, "Tenants; * as in group."),
    Setting("organization", CONDITIONS, "Organisations; * as in group."),
    Setting("role", CONDITIONS, "Roles; * as in group."),
    Setting("acr", CONDITIONS, "Authentication context classes, as ACR_MAP calls them."),
    Setting("amr", CONDITIONS, "Authentication methods."),
    Setting("max_login_age", SPAN, "How old the sign-in may be; not in a deny."),
)

GROUPS: Mapping[str, Mapping[str, Setting]] = {"providers": PROVIDER, "resources": RESOURCE, "clients": CLIENT}


def provider_table(types: Mapping[str, ProviderType]) -> Mapping[str, Setting]:
    """Return the settings of providers, with the options of these types."""
    owners = option_owners(types)
    unowned = {name: replace(setting, later=True) for name, setting in OPTIONS.items() if name not in owners}
    owned = {name: _option(name, names) for name, names in owners.items() if name not in PROVIDER}
    return {**PROVIDER, **unowned, **owned}


def _option(name: str, owners: list[str]) -> Setting:
    known = OPTIONS.get(name) or Setting(name, OPTION, "")
    return replace(known, help=f"{known.help} For providers of type {', '.join(owners)}.".lstrip())


def option_owners(types: Mapping[str, ProviderType]) -> Mapping[str, list[str]]:
    """Return each option of a provider type with the names of the types that take it."""
    names = sorted({option for kind in types.values() for option in kind.options})
    return {name: sorted(k for k, kind in types.items() if name in kind.options) for name in names}


def group_tables(types: Mapping[str, ProviderType]) -> Mapping[str, Mapping[str, Setting]]:
    """Return the tables of the nested settings: providers, resources, clients."""
    return {**GROUPS, "providers": provider_table(types)}


def variable(path: tuple[str, ...]) -> str:
    """Return the environment variable of a setting's path."""
    return "BROKER_" + "__".join(part.upper() for part in path)
