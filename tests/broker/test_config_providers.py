"""Identity providers in settings: short forms, long form, both together, and what is refused (architecture, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from broker.config import SettingsError, load
from broker.settings import ProviderConfig
from providers.base import ProviderType, SpeaksFor
from providers.registry import provider_types
from tests.broker.settings_input import LOCAL, PRODUCTION, load_from, only_fault, refused

KEYCLOAK = {
    "KEYCLOAK_ISSUER": "https://sso.example.com/realms/staff",
    "KEYCLOAK_CLIENT_ID": "broker",
    "KEYCLOAK_CLIENT_SECRET": "upstream-secret",
}
OIDC = {"OIDC_ISSUER": "https://idp.example.com", "OIDC_CLIENT_ID": "broker", "OIDC_CLIENT_SECRET": "upstream-secret"}


def only(environ: Mapping[str, str], toml: str | None = None) -> ProviderConfig:
    (provider,) = load_from(environ, toml=toml).providers
    return provider


@pytest.mark.parametrize(("short", "kind"), [(KEYCLOAK, "keycloak"), (OIDC, "oidc")])
def test_three_variables_make_a_provider_whose_id_is_its_type(short: dict[str, str], kind: str) -> None:
    provider = only(short)

    assert (provider.id, provider.adapter.type, provider.adapter.client_id) == (kind, kind, "broker")
    assert provider.adapter.issuer == short[f"{kind.upper()}_ISSUER"]
    assert provider.adapter.client_secret == "upstream-secret"
    assert provider.enabled_by == f"{kind.upper()}_ISSUER (environment)"


def test_url_and_realm_give_keycloaks_issuer() -> None:
    short = {k: v for k, v in KEYCLOAK.items() if k != "KEYCLOAK_ISSUER"}
    provider = only({**short, "KEYCLOAK_URL": "https://sso.example.com/", "KEYCLOAK_REALM": "staff"})

    assert provider.adapter.issuer == "https://sso.example.com/realms/staff"
    assert provider.enabled_by == "KEYCLOAK_URL (environment)"


def test_the_long_form_adds_to_a_short_one_and_wins_over_it() -> None:
    provider = only(
        {
            **KEYCLOAK,
            "BROKER_PROVIDERS__KEYCLOAK__ALLOWED_DOMAINS": "Example.com",
            "BROKER_PROVIDERS__KEYCLOAK__CLIENT_ID": "other",
        }
    )

    assert provider.allowed_domains == ("example.com",)
    assert provider.adapter.client_id == "other"


def test_a_short_form_completes_what_the_file_says() -> None:
    toml = '[providers.keycloak]\nissuer = "https://sso.example.com/realms/staff"\nclient_id = "broker"'

    assert only({"KEYCLOAK_CLIENT_SECRET": "x"}, toml).adapter.client_secret == "x"


def test_a_short_forms_secret_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("from a file\n")
    short = {**KEYCLOAK, "KEYCLOAK_CLIENT_SECRET_FILE": str(path)}
    del short["KEYCLOAK_CLIENT_SECRET"]

    assert only(short).adapter.client_secret == "from a file"


def test_a_short_form_may_name_the_button_and_options() -> None:
    provider = only({**OIDC, "OIDC_PROVIDER_NAME": "Corp", "OIDC_GROUPS_CLAIM": "teams"})

    assert provider.adapter.display_name == "Corp"
    assert provider.adapter.options == {"groups_claim": "teams"}


@pytest.mark.parametrize("name", ["ALLOWED_GROUPS", "ALLOWED_DOMAINS", "RECHECK_INTERVAL", "SCOPES", "DISPLAY_NAME"])
def test_a_setting_without_a_short_form_is_refused_under_one_with_its_long_form(name: str) -> None:
    """Left unread, `KEYCLOAK_ALLOWED_GROUPS=/staff` would let everybody of the realm in."""
    setting, origin, wrong, mend = only_fault({**KEYCLOAK, f"KEYCLOAK_{name}": "/staff"})

    assert (setting, origin, wrong) == (f"KEYCLOAK_{name}", "environment", "has no short form and would not be read")
    assert f"write BROKER_PROVIDERS__KEYCLOAK__{name}; " in mend
    assert "BROKER_PROVIDER_ALIASES=false if KEYCLOAK_… belongs to another program" in mend


def test_a_setting_without_a_short_form_is_refused_beside_anothers_variables_too() -> None:
    azure = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": "broker", "AZURE_CLIENT_SECRET": "upstream-secret"}

    assert only_fault({**azure, "ENTRA_ALLOWED_GROUPS": "staff"})[0] == "ENTRA_ALLOWED_GROUPS"


def test_such_a_variable_is_anothers_where_no_short_form_is_used() -> None:
    assert load_from({"KEYCLOAK_ALLOWED_GROUPS": "/staff", "OIDC_SCOPES": "openid profile", "KEYCLOAK_ISSUER": ""})
    assert load_from({**KEYCLOAK, "KEYCLOAK_SCOPES": "x", "BROKER_PROVIDER_ALIASES": "false"}).providers == ()


@pytest.mark.parametrize("left_out", sorted(KEYCLOAK))
def test_an_incomplete_short_form_is_refused_in_its_own_words(left_out: str) -> None:
    setting, _, wrong, mend = only_fault({k: v for k, v in KEYCLOAK.items() if k != left_out})

    assert setting == left_out
    assert "is missing, while KEYCLOAK_" in wrong
    assert "BROKER_PROVIDER_ALIASES=false" in mend


def test_a_secret_that_its_type_cannot_do_without_is_told_once_and_with_its_mend() -> None:
    assert only_fault({"GITHUB_CLIENT_ID": "Iv1.0"})[0] == "GITHUB_CLIENT_SECRET"

    name, _, wrong, mend = only_fault({"BROKER_PROVIDERS__GITHUB__CLIENT_ID": "Iv1.0"})
    assert name == "BROKER_PROVIDERS__GITHUB__CLIENT_SECRET"
    assert wrong.startswith("is missing")
    assert mend == f"set {name} or {name}_FILE"


def test_a_missing_issuer_says_what_else_gives_one() -> None:
    short = {k: v for k, v in KEYCLOAK.items() if k != "KEYCLOAK_ISSUER"}

    assert "KEYCLOAK_URL and KEYCLOAK_REALM" in only_fault({**short, "KEYCLOAK_REALM": "staff"})[3]


def test_empty_short_variables_are_absent() -> None:
    """Compose files pass variables on that are not set."""
    assert load_from(dict.fromkeys(KEYCLOAK, "")).providers == ()
    assert only_fault({**KEYCLOAK, "KEYCLOAK_CLIENT_SECRET": ""})[0] == "KEYCLOAK_CLIENT_SECRET"


def test_short_forms_can_be_switched_off() -> None:
    assert load_from({"KEYCLOAK_ISSUER": "x", "BROKER_PROVIDER_ALIASES": "false"}).providers == ()
    assert load_from({"KEYCLOAK_ISSUER": "x"}, toml="provider_aliases = false").providers == ()


def test_the_long_form_names_its_type() -> None:
    provider = only(
        {
            "BROKER_PROVIDERS__CORP__TYPE": "keycloak",
            "BROKER_PROVIDERS__CORP__URL": "https://sso.example.com/auth",
            "BROKER_PROVIDERS__CORP__REALM": "staff",
            "BROKER_PROVIDERS__CORP__CLIENT_ID": "broker",
            "BROKER_PROVIDERS__CORP__DISPLAY_NAME": "Corporate sign-in",
            "BROKER_PROVIDERS__CORP__RECHECK_INTERVAL": "5m",
            "BROKER_PROVIDERS__CORP__TIMEOUT": "3s",
            "BROKER_PROVIDERS__CORP__ACR_MAP": '{"urn:mfa": "mfa"}',
        }
    )

    assert (provider.id, provider.adapter.type) == ("corp", "keycloak")
    assert provider.adapter.issuer == "https://sso.example.com/auth/realms/staff"
    assert (provider.adapter.recheck_interval, provider.adapter.timeout) == (300, 3.0)
    assert provider.adapter.client_secret is None  # a public client
    assert provider.acr_map == {"urn:mfa": "mfa"}
    assert provider.adapter.loopback


def test_a_provider_without_type_takes_its_ids_where_that_is_one() -> None:
    environ = {"BROKER_PROVIDERS__OIDC__ISSUER": "https://i.example.com", "BROKER_PROVIDERS__OIDC__CLIENT_ID": "b"}

    assert only(environ).adapter.type == "oidc"


def test_a_provider_of_no_known_type_is_refused_together_with_its_other_faults() -> None:
    faults = refused({"BROKER_PROVIDERS__CORP__ISSUER": "nonsense", "BROKER_PROVIDERS__CORP__CLIENT_ID": "b"})

    assert {setting for setting, *_ in faults} == {"BROKER_PROVIDERS__CORP__TYPE", "BROKER_PROVIDERS__CORP__ISSUER"}
    assert only_fault({"BROKER_PROVIDERS__CORP__TYPE": "keyclock"})[3] == "write keycloak"


def test_an_option_of_another_type_is_refused() -> None:
    setting, _, wrong, _ = only_fault({**OIDC, "BROKER_PROVIDERS__OIDC__REALM": "staff"})

    assert setting == "BROKER_PROVIDERS__OIDC__REALM"
    assert "type keycloak" in wrong


@pytest.mark.parametrize(
    ("issuer", "environ"),
    [
        ("http://idp.example.com", LOCAL),
        ("http://localhost:9000", PRODUCTION),
        ("https://idp.example.com?x=1", LOCAL),
        ("https://idp.example.com#x", LOCAL),
        ("https://user:hunter2@idp.example.com", LOCAL),
        ("idp.example.com", LOCAL),
    ],
)
def test_an_upstream_issuer_that_cannot_be_trusted_is_refused(issuer: str, environ: dict[str, str]) -> None:
    """Http only on loopback, from a broker on loopback (architecture, section 7)."""
    setting, _, wrong, _ = only_fault({**environ, **OIDC, "OIDC_ISSUER": issuer})

    assert setting == "OIDC_ISSUER"
    assert "hunter2" not in wrong


def test_an_upstream_issuer_keeps_its_slash() -> None:
    """Auth0's issuers end in one; it is compared byte for byte."""
    assert only({**OIDC, "OIDC_ISSUER": "https://x.auth0.com/"}).adapter.issuer == "https://x.auth0.com/"


def test_an_issuer_that_contradicts_url_and_realm_is_refused() -> None:
    environ = {**KEYCLOAK, "KEYCLOAK_URL": "https://sso.example.com", "KEYCLOAK_REALM": "other"}

    assert "realms/other" in only_fault(environ)[2]


def test_what_the_adapter_finds_wrong_is_told_with_its_setting() -> None:
    setting, origin, wrong, _ = only_fault({**OIDC, "OIDC_GROUPS_CLAIM": "[1"})

    assert (setting, origin) == ("OIDC_GROUPS_CLAIM", "environment")
    assert wrong.startswith("must be")


@pytest.mark.parametrize(
    ("method", "needed"),
    [
        ("private_key_jwt", "set {}PRIVATE_KEY or {}PRIVATE_KEY_FILE, or change this one"),
        ("client_secret_post", "set {}CLIENT_SECRET or {}CLIENT_SECRET_FILE, or change this one"),
        ("federated_token_file", "set {}FEDERATED_TOKEN_FILE, or change this one"),
    ],
)
def test_a_method_without_its_part_says_what_to_set(method: str, needed: str) -> None:
    long = "BROKER_PROVIDERS__IDP__"
    setting, _, _, mend = only_fault(
        {
            long + "TYPE": "oidc",
            long + "ISSUER": "https://idp.example.com",
            long + "CLIENT_ID": "broker",
            long + "AUTH_METHOD": method,
        }
    )

    assert setting == long + "AUTH_METHOD"
    assert mend == needed.replace("{}", long)


@pytest.mark.parametrize("text", ["user@example.com", "https://example.com", "example.com:443", "a b"])
def test_a_domain_is_no_address_and_no_url(text: str) -> None:
    assert only_fault({**OIDC, "BROKER_PROVIDERS__OIDC__EMAIL_DOMAINS": text})[0].endswith("EMAIL_DOMAINS")


def test_several_providers_come_in_the_order_of_their_ids() -> None:
    assert [p.id for p in load_from({**OIDC, **KEYCLOAK}).providers] == ["keycloak", "oidc"]


GITHUB = {"GITHUB_CLIENT_ID": "Iv1.8a61f9b3a7aba766", "GITHUB_CLIENT_SECRET": "upstream-secret"}


def test_github_needs_no_issuer_and_leaves_the_variables_of_a_runner_alone() -> None:
    """GITHUB_API_URL and the like are set wherever GitHub Actions runs."""
    runner = {"GITHUB_API_URL": "https://api.github.com", "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://x"}
    provider = only({**GITHUB, **runner, "GITHUB_ALLOWED_ORGS": "acme,org:42"})

    assert provider.adapter.issuer == "https://github.com/login/oauth"
    assert provider.adapter.options == {"allowed_orgs": "acme,org:42"}
    assert load_from(runner).providers == ()


def test_an_enterprise_server_is_named_by_its_base_url() -> None:
    base_url = "BROKER_PROVIDERS__GITHUB__BASE_URL"
    assert only({**GITHUB, base_url: "https://github.corp.example"}).adapter.issuer.startswith("https://github.corp")
    assert only_fault({**GITHUB, base_url: "https://github.corp.example/path"})[0] == base_url


def test_github_is_open_to_anyone_until_organisations_are_named() -> None:
    """Security rule G16."""
    with pytest.raises(SettingsError, match="anyone on the internet could sign in"):
        load_from({**PRODUCTION, **GITHUB})
    assert load_from({**PRODUCTION, **GITHUB, "GITHUB_ALLOWED_ORGS": "acme"}).providers
    assert only_fault({**GITHUB, "GITHUB_ALLOWED_ORGS": "acme/team"})[0] == "GITHUB_ALLOWED_ORGS"


GITLAB = {
    "BROKER_PROVIDERS__GITLAB__CLIENT_ID": "broker",
    "BROKER_PROVIDERS__GITLAB__CLIENT_SECRET": "upstream-secret",
}


def test_gitlab_com_is_open_to_anyone_and_a_gitlab_of_ones_own_is_not() -> None:
    """Security rule G16: whether strangers have accounts depends on the issuer."""
    issuer = "BROKER_PROVIDERS__GITLAB__ISSUER"
    with pytest.raises(SettingsError, match="anyone on the internet could sign in"):
        load_from({**PRODUCTION, **GITLAB, issuer: "https://gitlab.com"})
    groups = {"BROKER_PROVIDERS__GITLAB__ALLOWED_GROUPS": "example,example/*"}
    assert load_from({**PRODUCTION, **GITLAB, **groups, issuer: "https://gitlab.com"}).providers
    assert load_from({**PRODUCTION, **GITLAB, issuer: "https://gitlab.example.com"}).providers


TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
ENTRA = {"ENTRA_TENANT_ID": TENANT, "ENTRA_CLIENT_ID": "broker", "ENTRA_CLIENT_SECRET": "upstream-secret"}
AZURE = {name.replace("ENTRA", "AZURE"): value for name, value in ENTRA.items()}
INJECTED = {
    "AZURE_TENANT_ID": TENANT,
    "AZURE_CLIENT_ID": "of-the-workload",
    "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
    "AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
}


@pytest.mark.parametrize("short", [ENTRA, AZURE], ids=["ENTRA", "AZURE"])
def test_entra_is_configured_by_tenant_and_client(short: dict[str, str]) -> None:
    """Architecture, section 7: ENTRA_TENANT_ID (also AZURE_…), with client id and secret."""
    provider = only(short)

    assert (provider.id, provider.adapter.type, provider.adapter.client_id) == ("entra", "entra", "broker")
    assert provider.adapter.issuer == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert provider.adapter.client_secret == "upstream-secret"
    assert provider.adapter.options == {"tenant": TENANT}


def test_what_workload_identity_injects_configures_nothing_by_itself() -> None:
    """Architecture, section 7: a platform sets AZURE_… without a secret for its own ends."""
    assert load_from(INJECTED).providers == ()


def test_beside_a_short_form_what_workload_identity_injects_completes_it() -> None:
    """A federated token stands in for a secret; the form's own variables win."""
    provider = only({**INJECTED, "ENTRA_CLIENT_ID": "broker"})

    assert (provider.adapter.client_id, provider.adapter.client_secret) == ("broker", None)
    assert provider.adapter.options["federated_token_file"] == INJECTED["AZURE_FEDERATED_TOKEN_FILE"]
    assert provider.adapter.issuer == f"https://login.microsoftonline.com/{TENANT}/v2.0"


def test_an_incomplete_entra_is_refused_in_its_own_words() -> None:
    setting, _, wrong, mend = only_fault({k: v for k, v in ENTRA.items() if k != "ENTRA_TENANT_ID"})
    assert setting == "ENTRA_ISSUER"
    assert "is missing, while ENTRA_CLIENT_ID" in wrong
    assert "ENTRA_TENANT_ID" in mend
    assert only_fault({k: v for k, v in ENTRA.items() if k != "ENTRA_CLIENT_SECRET"})[0] == "ENTRA_CLIENT_SECRET"
    assert only_fault({**ENTRA, "ENTRA_TENANT_ID": "contoso.onmicrosoft.com"})[0] == "ENTRA_TENANT_ID"


@pytest.mark.parametrize("tenant", ["organizations", "common", "consumers"])
def test_whether_strangers_can_sign_in_depends_on_the_tenant(tenant: str) -> None:
    """Security rule G16: one tenant's own endpoint is closed, shared ones need a list of tenants."""
    assert load_from({**PRODUCTION, **ENTRA}).providers
    shared = {**PRODUCTION, **ENTRA, "ENTRA_TENANT_ID": tenant}
    with pytest.raises(SettingsError, match="anyone on the internet could sign in"):
        load_from(shared)
    if tenant != "consumers":
        assert load_from({**shared, "BROKER_PROVIDERS__ENTRA__ALLOWED_TENANTS": TENANT}).providers


OPEN = ProviderType(
    name="open",
    build=provider_types()["oidc"].build,
    options=frozenset({"private_key"}),
    env_prefix="OPEN",
    gives=frozenset({"user", "group"}),
    open_to_anyone=True,
)
OPEN_SHORT = {"OPEN_ISSUER": "https://open.example.com", "OPEN_CLIENT_ID": "b", "OPEN_CLIENT_SECRET": "s"}


@pytest.mark.parametrize(
    ("extra", "starts"),
    [
        ({}, False),
        ({"BROKER_PROVIDERS__OPEN__ALLOW_ANYONE": "false"}, False),
        ({"BROKER_PROVIDERS__OPEN__ALLOW_ANYONE": "true"}, True),
        ({"BROKER_PROVIDERS__OPEN__ALLOWED_DOMAINS": "example.com"}, True),
        ({"BROKER_PROVIDERS__OPEN__ALLOWED_GROUPS": "staff"}, True),
    ],
)
def test_a_provider_that_anyone_can_sign_in_with_needs_a_restriction_in_production(
    extra: dict[str, str], *, starts: bool
) -> None:
    """Security rule G16."""
    environ = {**PRODUCTION, **OPEN_SHORT, **extra}
    if starts:
        assert load(None, environ, None, {"open": OPEN}).providers
    else:
        with pytest.raises(SettingsError, match="anyone on the internet could sign in") as caught:
            load(None, environ, None, {"open": OPEN})
        assert "BROKER_PROVIDERS__OPEN__ALLOW_ANYONE=true" in str(caught.value)
    assert load(None, {**environ, **LOCAL}, None, {"open": OPEN}).providers


def test_groups_that_a_provider_does_not_tell_as_it_is_set_up_let_nobody_in() -> None:
    """Google tells groups to a service account alone; whoever forgets it would be told that the settings are good (rule G16)."""
    google = {**LOCAL, "GOOGLE_CLIENT_ID": "g", "GOOGLE_CLIENT_SECRET": "s"}
    with pytest.raises(SettingsError) as caught:
        load(None, {**google, "BROKER_PROVIDERS__GOOGLE__ALLOWED_GROUPS": "staff@example.com"}, None, provider_types())
    assert [fault.setting for fault in caught.value.faults] == ["BROKER_PROVIDERS__GOOGLE__ALLOWED_GROUPS"]
    assert "BROKER_PROVIDERS__GOOGLE__SERVICE_ACCOUNT_FILE" in caught.value.faults[0].mend


def test_a_secret_option_of_a_type_does_not_print() -> None:
    settings = load(None, {**LOCAL, **OPEN_SHORT, "OPEN_PRIVATE_KEY": "hunter2"}, None, {"open": OPEN})

    assert settings.providers[0].adapter.options == {"private_key": "hunter2"}
    assert "hunter2" not in repr(settings)


KEYED = ProviderType(
    name="keyed",
    build=provider_types()["oidc"].build,
    options=frozenset({"allowed_orgs", "private_key", "region"}),
    gives=frozenset({"user", "domain"}),
    speaks_for=SpeaksFor.VOUCHED,
)
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----"


def keyed(toml: str, environ: Mapping[str, str] | None = None) -> ProviderConfig:
    text = f'[providers.keyed]\nissuer = "https://idp.example.com"\nclient_id = "b"\n{toml}'
    types = {"keyed": KEYED, **provider_types()}
    (provider,) = load(None, {**LOCAL, **(environ or {})}, text.encode(), types).providers
    return provider


def test_an_option_may_be_a_list() -> None:
    """Adapters take their options as text: a list as JSON, or with commas."""
    assert keyed('allowed_orgs = ["acme", "org:42"]').adapter.options == {"allowed_orgs": '["acme", "org:42"]'}
    assert keyed('allowed_orgs = "acme,org:42"').adapter.options == {"allowed_orgs": "acme,org:42"}
    with pytest.raises(SettingsError, match="is not a list of texts"):
        keyed("allowed_orgs = [1]")


def test_a_private_key_has_lines_and_does_not_print(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PEM)
    by_file = keyed("", {"BROKER_PROVIDERS__KEYED__PRIVATE_KEY_FILE": str(tmp_path / "key.pem")})
    assert by_file.adapter.options == {"private_key": PEM} == keyed(f'private_key = """{PEM}"""').adapter.options
    assert "MC4CAQ" not in repr(by_file)
    for wrong in ('private_key = " "', 'private_key = "a\\u0000b"', "private_key = 1"):
        with pytest.raises(SettingsError):
            keyed(wrong)


def test_what_a_type_knows_and_whom_it_speaks_for_goes_with_the_provider() -> None:
    """The policy asks a provider for nothing that its type cannot give, and believes no address that it does not speak for."""
    assert (keyed("").gives, keyed("").speaks_for) == (frozenset({"user", "domain"}), SpeaksFor.VOUCHED)
    assert only(OIDC).speaks_for is SpeaksFor.VERIFIED
    assert only(GITHUB).speaks_for is SpeaksFor.LISTED


@pytest.mark.parametrize(
    ("settings", "restriction"),
    [
        ({"GITHUB_CLIENT_ID": "a", "GITHUB_CLIENT_SECRET": "b"}, "GITHUB__ALLOWED_ORGS"),
        ({"GOOGLE_CLIENT_ID": "a", "GOOGLE_CLIENT_SECRET": "b"}, "GOOGLE__HOSTED_DOMAINS"),
        ({"ENTRA_TENANT_ID": "common", "ENTRA_CLIENT_ID": "a", "ENTRA_CLIENT_SECRET": "b"}, "ENTRA__ALLOWED_TENANTS"),
    ],
    ids=["github", "google", "entra"],
)
def test_an_open_type_is_restricted_by_what_it_is_sure_of(settings: dict[str, str], restriction: str) -> None:
    """Rule G16: an e-mail domain would be no advice where the provider speaks for no address."""
    fault = only_fault({**PRODUCTION, **settings})
    assert f"BROKER_PROVIDERS__{restriction}, or set" in fault[3]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"GITHUB_CLIENT_ID": "a", "GITHUB_CLIENT_SECRET": "b"}, "GITHUB"),
        (
            {
                "GITHUB_CLIENT_ID": "a",
                "GITHUB_CLIENT_SECRET": "b",
                "BROKER_PROVIDERS__GITHUB__EMAIL_DOMAINS": "b.example",
            },
            "GITHUB",
        ),
        ({**KEYCLOAK, "BROKER_PROVIDERS__KEYCLOAK__EMAIL_DOMAINS": "b.example"}, "KEYCLOAK"),
    ],
    ids=["speaks for no address", "speaks for others", "verifies, and is asked about others"],
)
def test_domains_of_which_no_address_counts_are_refused(settings: dict[str, str], kind: str) -> None:
    """Architecture, "Policy rules": an e-mail counts only where the provider speaks for it; everybody would be barred."""
    name, _, wrong, mend = only_fault({**settings, f"BROKER_PROVIDERS__{kind}__ALLOWED_DOMAINS": "a.example"})
    assert name == f"BROKER_PROVIDERS__{kind}__ALLOWED_DOMAINS"
    assert wrong.startswith("lets nobody in")
    assert f"BROKER_PROVIDERS__{kind}__EMAIL_DOMAINS" in mend
    good = {**settings, f"BROKER_PROVIDERS__{kind}__EMAIL_DOMAINS": "A.example, b.example"}
    assert only({**good, f"BROKER_PROVIDERS__{kind}__ALLOWED_DOMAINS": "a.example"}).allowed_domains == ("a.example",)
