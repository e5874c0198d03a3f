"""Unsafe settings do not start, and secrets never print (security rule G16; architecture, section 7)."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.config import SettingsError, examine, load
from broker.secret_source import is_reference
from providers.registry import provider_types
from tests.broker.settings_input import LOCAL, LONG_SECRET, MASTER_KEY, PRODUCTION, load_from, only_fault, refused

APP = {"BROKER_CLIENTS__APP__REDIRECT_URIS": "https://app.example.com/cb"}
FILES = {"BROKER_RESOURCES__FILES__URL": "https://files.example.com/mcp"}
OIDC = {"OIDC_ISSUER": "https://idp.example.com", "OIDC_CLIENT_ID": "b", "OIDC_CLIENT_SECRET": "s"}


def test_production_needs_a_master_key_and_is_told_how_to_make_one() -> None:
    """Security rule G16."""
    setting, origin, _, mend = only_fault({"BROKER_ISSUER": "https://auth.example.com"})

    assert (setting, origin) == ("BROKER_MASTER_KEY", "")
    assert "python3 -c" in mend


def test_postgresql_needs_a_master_key_on_loopback_too() -> None:
    """One is made by itself only beside a SQLite file."""
    assert only_fault({"BROKER_DATABASE_URL": "postgresql://h/d"})[0] == "BROKER_MASTER_KEY"


def test_a_production_issuer_over_http_is_refused_together_with_everything_else_that_is_unsafe() -> None:
    """Security rule G16; an unusable issuer does not hide the rest."""
    faults = refused(
        {
            "BROKER_ISSUER": "http://auth.example.com/",
            **APP,
            "BROKER_CLIENTS__APP__CLIENT_SECRET": "short",
            "BROKER_TRUSTED_PROXIES": "",
        }
    )

    assert [setting for setting, *_ in faults] == [
        "BROKER_ISSUER",
        "BROKER_TRUSTED_PROXIES",
        "BROKER_CLIENTS__APP__CLIENT_SECRET",
        "BROKER_MASTER_KEY",
    ]


@pytest.mark.parametrize(
    "environ",
    [
        {**APP, "BROKER_CLIENTS__APP__CLIENT_SECRET": "x" * 31},
        {**FILES, "BROKER_RESOURCES__FILES__SECRET": "x" * 31},
    ],
)
def test_a_secret_that_could_be_guessed_does_not_start_in_production(environ: dict[str, str]) -> None:
    """Security rule G16: configured client and resource secrets have 32 characters."""
    setting, origin, wrong, mend = only_fault({**PRODUCTION, **environ})

    assert setting.endswith("SECRET")
    assert origin == "environment"
    assert "31 characters" in wrong
    assert "token_urlsafe" in mend
    assert "x" * 31 not in wrong + mend
    assert load_from({**PRODUCTION, **environ, setting: "x" * 32}).issuer
    assert load_from({**LOCAL, **environ}).issuer


@pytest.mark.parametrize(
    ("name", "related"),
    [
        ("BROKER_TRUSTED_PROXIES", {}),
        ("BROKER_CIMD_ALLOWED_HOSTS", {}),
        ("BROKER_REDIRECT_SCHEMES", {}),
        ("BROKER_POLICY", {}),
        ("BROKER_RESOURCES", {}),
        ("BROKER_PROVIDERS__OIDC__ALLOWED_DOMAINS", OIDC),
        ("BROKER_PROVIDERS__OIDC__ALLOWED_GROUPS", OIDC),
        ("BROKER_PROVIDERS__OIDC__EMAIL_DOMAINS", OIDC),
        ("BROKER_PROVIDERS__OIDC__SCOPES", OIDC),
    ],
)
def test_a_list_that_is_there_but_empty_does_not_start_in_production(name: str, related: dict[str, str]) -> None:
    """Security rule G16: nobody can tell whether it means nothing or everything."""
    setting, _, wrong, _ = only_fault({**PRODUCTION, **related, name: "[]"})

    assert (setting, wrong) == (name, "is there but empty")


def test_an_empty_restriction_on_loopback_admits_nobody() -> None:
    provider = load_from({**OIDC, "BROKER_PROVIDERS__OIDC__ALLOWED_DOMAINS": "[]"}).providers[0]

    assert provider.allowed_domains == ()


@pytest.mark.parametrize("bind", ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:8080"])
def test_a_loopback_issuer_that_others_can_reach_is_warned_about(bind: str) -> None:
    """Security rules G1, G16: a container's published port needs it; the issuer's relaxations are then there for whoever gets in."""
    warnings = load_from({"BROKER_BIND": bind}).warnings

    assert [w for w in warnings if w.startswith("BROKER_BIND")]
    for environ in ({"BROKER_BIND": "127.0.0.2:8080"}, {**PRODUCTION, "BROKER_BIND": bind}):
        assert not [w for w in load_from(environ).warnings if w.startswith("BROKER_BIND")]


def test_an_admin_listener_that_others_can_reach_is_allowed_and_warned_about() -> None:
    settings = load_from({**PRODUCTION, "BROKER_ADMIN_BIND": "0.0.0.0:8081"})

    assert any("BROKER_ADMIN_BIND" in warning for warning in settings.warnings)
    assert not any("BROKER_ADMIN_BIND" in warning for warning in load_from(PRODUCTION).warnings)


@pytest.mark.parametrize(
    ("public", "admin"),
    [("127.0.0.1:9", "127.0.0.1:9"), ("0.0.0.0:9", "127.0.0.1:9"), ("10.0.0.7:9", "[::]:9"), ("127.0.0.1:8081", None)],
)
def test_two_listeners_on_one_port_are_a_fault_before_the_start(public: str, admin: str | None) -> None:
    """Settings: all faults at once; `config validate` must not call good what cannot start."""
    given = {"BROKER_BIND": public, **({"BROKER_ADMIN_BIND": admin} if admin else {})}
    setting, _, wrong, _ = only_fault(given)

    assert setting == "BROKER_ADMIN_BIND"
    assert public.rpartition(":")[2] in wrong
    assert load_from({**given, "BROKER_ADMIN_BIND": "127.0.0.1:10"}).admin_bind.port == 10


def test_two_listeners_may_have_one_port_on_two_addresses() -> None:
    given = {"BROKER_BIND": "10.0.0.7:9", "BROKER_ADMIN_BIND": "127.0.0.1:9"}

    assert load_from(given).admin_bind.port == 9


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_trusting_everybodys_forwarded_headers_is_warned_about(network: str) -> None:
    """Security rule G2."""
    assert any("TRUSTED_PROXIES" in w for w in load_from({"BROKER_TRUSTED_PROXIES": network}).warnings)


def test_a_broker_without_provider_or_resource_is_warned_about() -> None:
    assert len(load_from({}).warnings) == 2
    assert load_from({**OIDC, **FILES}).warnings == ()


SECRETS = {
    "BROKER_DCR_TOKEN": {},
    "BROKER_CIMD_PROXY": {},
    "BROKER_MASTER_KEY": {},
    "BROKER_DATABASE_URL": {},
    "BROKER_PROVIDERS__OIDC__CLIENT_SECRET": {k: v for k, v in OIDC.items() if k != "OIDC_CLIENT_SECRET"},
    "BROKER_PROVIDERS__OIDC__PROXY": OIDC,
    "BROKER_PROVIDERS__OIDC__PRIVATE_KEY": OIDC,
    "OIDC_CLIENT_SECRET": {k: v for k, v in OIDC.items() if k != "OIDC_CLIENT_SECRET"},
    "BROKER_CLIENTS__APP__CLIENT_SECRET": APP,
    "BROKER_RESOURCES__FILES__SECRET": FILES,
}
MARK = "zQ7~x"  # in every generated secret, and in no sentence of ours


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(SECRETS)),
    before=st.text(max_size=20) | st.from_regex(r"[A-Za-z0-9._~-]{0,40}", fullmatch=True),
    after=st.text(max_size=20) | st.from_regex(r"[A-Za-z0-9._~-]{0,40}", fullmatch=True),
    shape=st.sampled_from(["{}", "http://u:{}@proxy.example.com:3128", "postgresql://u:{}@db.example.com/d"]),
    issuer=st.sampled_from([LOCAL, PRODUCTION, {"BROKER_ISSUER": "nonsense"}]),
)
def test_no_secret_is_ever_shown_whatever_becomes_of_the_settings(
    name: str, before: str, after: str, shape: str, issuer: dict[str, str]
) -> None:
    """No secret in an error, a warning, a repr or `config show` (the oracles of the security rules)."""
    secret = f"{before}{MARK}{after}"
    if is_reference(secret):
        return  # names a place, and places are shown
    try:
        examined = examine(None, {**issuer, **SECRETS[name], name: shape.format(secret)}, None, provider_types())
    except SettingsError as refusal:
        said = str(refusal) + repr(refusal.faults)
    else:
        said = repr(examined) + "".join(f"{entry.value} {entry.origin}" for entry in examined.entries)

    assert MARK not in said


def test_a_secret_on_the_command_line_is_refused() -> None:
    """Security oracle: no secret in a process argument."""
    faults = refused(
        {}, argv={"dcr_token": "hunter2", "master_key": MASTER_KEY, "database_url": "postgresql://u:hunter2@h/d"}
    )

    assert [origin for _, origin, *_ in faults][:3] == ["command line"] * 3
    assert all("every process" in wrong for _, _, wrong, _ in faults[:3])
    assert "hunter2" not in str(faults)


def test_a_reference_and_a_database_file_may_stand_on_the_command_line() -> None:
    settings = load_from({"TOKEN": "hunter2"}, argv={"dcr_token": "env:TOKEN", "database_url": "sqlite:///x.db"})

    assert settings.dcr_token is not None
    assert settings.dcr_token.reveal() == "hunter2"
    assert settings.database_url.reveal() == "sqlite:///x.db"


def test_the_database_is_shown_only_where_it_is_a_file() -> None:
    shown = {
        e.name: e.value for e in examine(None, {**LOCAL, "BROKER_DATABASE_URL": "sqlite:///x.db"}, None, {}).entries
    }
    hidden = {
        e.name: e.value
        for e in examine(None, {**PRODUCTION, "BROKER_DATABASE_URL": "postgresql://u@h/d"}, None, {}).entries
    }

    assert shown["BROKER_DATABASE_URL"] == "sqlite:///x.db"
    assert hidden["BROKER_DATABASE_URL"] == "***"


def test_a_secret_inside_json_of_a_group_is_masked_like_any_other() -> None:
    clients = json.dumps({"app": {"redirect_uris": ["https://a.example/cb"], "client_secret": LONG_SECRET}})
    examined = examine(None, {**LOCAL, "BROKER_CLIENTS": clients}, None, provider_types())

    assert LONG_SECRET not in repr(examined)
    assert load(None, {**LOCAL, "BROKER_CLIENTS": clients}, None, provider_types()).clients[0].secret_hash


@pytest.mark.parametrize("byte", [b"\0", b"k", b"\xff"])
def test_a_master_key_of_one_repeated_byte_does_not_start_in_production(byte: bytes) -> None:
    """Security rule G16: a placeholder seals nothing; also as an older key, which still opens."""
    weak = base64.urlsafe_b64encode(byte * 32).decode()

    for number, keys in ((1, weak), (2, f"{MASTER_KEY},{weak}")):
        setting, origin, wrong, mend = only_fault({**PRODUCTION, "BROKER_MASTER_KEY": keys})
        assert (setting, origin) == ("BROKER_MASTER_KEY", "environment")
        assert f"place {number}" in wrong
        assert "os.urandom" in mend
        assert weak not in wrong + mend
    assert load_from({"BROKER_MASTER_KEY": weak}).master_keys == (byte * 32,)
