"""What each kind of value accepts, and how it refuses the rest (architecture, section 7)."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.config.faults import Wrong
from broker.config.kinds import as_list, duration
from broker.settings import DAY, HOUR, Address, Rate
from tests.broker.settings_input import MASTER_KEY, PRODUCTION, load_from, only_fault


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1), ("90", 90), ("90s", 90), ("15m", 900), ("12h", 12 * HOUR), ("30d", 30 * DAY), (" 5m ", 300), ("007", 7)],
)
def test_a_time_span_is_seconds_or_has_a_unit(text: str, seconds: int) -> None:
    assert load_from({"BROKER_SESSION_TTL": text}).session_ttl == seconds


@pytest.mark.parametrize(
    "text", ["0", "-1", "1.5h", "15 m", "15M", "1w", "m", "", " ", "99999d", "9" * 30, "1h30m", "٣"]
)
def test_other_time_spans_are_refused_with_examples(text: str) -> None:
    setting, _, _, mend = only_fault({"BROKER_SESSION_TTL": text})

    assert setting == "BROKER_SESSION_TTL"
    assert mend


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=3660 * DAY))
def test_any_number_of_seconds_is_itself(seconds: int) -> None:
    assert duration().parse(str(seconds)) == duration().parse(seconds) == seconds


@settings(deadline=None)
@given(st.text())
def test_no_text_makes_reading_a_time_span_fail_otherwise_than_by_a_refusal(text: str) -> None:
    with contextlib.suppress(Wrong):
        assert duration().parse(text) >= 1


def test_a_boolean_of_toml_is_no_number() -> None:
    assert only_fault({}, toml="session_ttl = true")[0] == "session_ttl"
    assert only_fault({}, toml="dcr_unused = true")[0] == "dcr_unused"
    assert only_fault({}, toml="dcr = 1")[0] == "dcr"


@pytest.mark.parametrize(("text", "rate"), [("100/h", Rate(100, HOUR)), ("5/m", Rate(5, 60)), ("1/s", Rate(1, 1))])
def test_a_rate_is_how_many_in_which_time(text: str, rate: Rate) -> None:
    assert load_from({"BROKER_DCR_RATE": text}).dcr_rate == rate


@pytest.mark.parametrize("text", ["100", "100/", "/h", "0/h", "-1/h", "1/week", "100 / h", "1/2h"])
def test_other_rates_are_refused_with_an_example(text: str) -> None:
    assert "100/h" in only_fault({"BROKER_DCR_RATE": text})[3]


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("TRUE", True), (" False ", False)])
def test_a_switch_is_true_or_false(text: str, *, value: bool) -> None:
    assert load_from({"BROKER_DCR": text}).dcr is value


@pytest.mark.parametrize("text", ["1", "yes", "on", "", "truefalse"])
def test_other_switches_are_refused(text: str) -> None:
    assert only_fault({"BROKER_DCR": text})[0] == "BROKER_DCR"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:443", Address("::1", 443)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),  # noqa: S104 - an administrator's choice
        ("broker.internal:65535", Address("broker.internal", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: Address) -> None:
    assert load_from({"BROKER_BIND": text}).bind == address


@pytest.mark.parametrize(
    "text", ["8080", ":8080", "localhost", "::1:8080", "host:0", "host:65536", "host:80/x", "http://host:80", "a b:80"]
)
def test_other_addresses_are_refused(text: str) -> None:
    assert "host:port" in only_fault({"BROKER_BIND": text})[3]


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8,::1", '["10.0.0.0/8", "::1"]', " 10.0.0.0/8 , ::1 ,", "10.0.0.0/8,::1,::1"]
)
def test_a_list_is_separated_by_commas_or_json(text: str) -> None:
    assert load_from({"BROKER_TRUSTED_PROXIES": text}).trusted_proxies == ("10.0.0.0/8", "::1/128")


@pytest.mark.parametrize("text", ["[1]", '["a"', "[[]]", '[{"a": 1}]', '["\\n"]', "[" * 100_000])
def test_other_lists_are_refused(text: str) -> None:
    assert only_fault({"BROKER_TRUSTED_PROXIES": text})[0] == "BROKER_TRUSTED_PROXIES"


@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(codec="ascii", exclude_characters=',[" \\', categories=["L", "N", "P"]), min_size=1))
)
def test_a_list_reads_the_same_from_commas_json_and_toml(items: list[str]) -> None:
    import json  # noqa: PLC0415 - this test's own matter

    assert as_list(",".join(items)) == as_list(json.dumps(items)) == as_list(items) == tuple(dict.fromkeys(items))


@pytest.mark.parametrize("text", ["nonsense", "http://10.0.0.1", "10.0.0.0/33"])
def test_a_trusted_proxy_is_an_address_or_a_network(text: str) -> None:
    assert "10.0.0.0/8" in only_fault({"BROKER_TRUSTED_PROXIES": text})[3]


@pytest.mark.parametrize(
    ("text", "mend"),
    [("es256", "write ES256"), ("ed25519", "write Ed25519"), ("HS256", "write ES256"), ("none", "write one of")],
)
def test_a_word_out_of_a_choice_is_refused_with_the_nearest(text: str, mend: str) -> None:
    found = only_fault({"BROKER_SIGNING_ALG": text})[3]

    assert mend in found or "RS256" in found


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("sqlite:///broker.db", "sqlite:///broker.db"),
        ("sqlite:////var/lib/broker.db", "sqlite:////var/lib/broker.db"),
        ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql://u@h:5432/d?sslmode=verify-full", "postgresql://u@h:5432/d?sslmode=verify-full"),
    ],
)
def test_a_database_is_a_sqlite_file_or_postgresql(text: str, url: str) -> None:
    assert load_from({"BROKER_DATABASE_URL": text, "BROKER_MASTER_KEY": MASTER_KEY}).database_url.reveal() == url


@pytest.mark.parametrize(
    "text",
    [
        "mysql://root:hunter2@h/d",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "postgresql+asyncpg://hunter2@h",
        "x",
    ],
)
def test_other_databases_are_refused_without_quoting_them(text: str) -> None:
    _, _, wrong, mend = only_fault({"BROKER_DATABASE_URL": text})

    assert "hunter2" not in wrong + mend


@pytest.mark.parametrize(
    "issuer",
    [
        "https://auth.example.com",
        "https://auth.example.com/oauth",
        "https://auth.example.com/a/b-c_d.e~f",
        "https://auth.example.com:8443",
        "http://localhost:8080",
        "http://127.0.0.1:8080/broker",
        "http://[::1]:8080",
        "https://localhost",
    ],
)
def test_a_good_issuer_is_kept_byte_for_byte(issuer: str) -> None:
    assert load_from({**PRODUCTION, "BROKER_ISSUER": issuer}).issuer == issuer


@pytest.mark.parametrize(
    ("issuer", "mend"),
    [
        ("https://auth.example.com/", "write https://auth.example.com,"),
        ("https://auth.example.com/oauth/", "write https://auth.example.com/oauth,"),
        ("https://Auth.Example.com", "write https://auth.example.com,"),
        ("https://auth.example.com:443", "write https://auth.example.com,"),
        ("http://localhost:80", "write http://localhost,"),
        ("http://auth.example.com", "write https://auth.example.com,"),
        ("http://Auth.example.com:80/x/?y=1", "write https://auth.example.com/x,"),
        ("https://auth.example.com?tenant=1", "write https://auth.example.com,"),
        ("https://auth.example.com#x", "remove the #"),
        ("https://user:hunter2@auth.example.com", "before the @"),
        ("auth.example.com", "with its scheme"),
        ("ftp://auth.example.com", "with its scheme"),
        ("https://auth.example.com//x", "single slashes"),
        ("https://auth.example.com/../x", "single slashes"),
        ("https://auth.example.com/%6f", "single slashes"),
        ("https://", "plain ASCII"),
        ("https://äuth.example.com", "plain ASCII"),
        ("https://auth.example.com /x", "plain ASCII"),
        ("", "give it a value"),
    ],
)
def test_an_issuer_that_clients_could_spell_differently_is_refused(issuer: str, mend: str) -> None:
    """The issuer is compared byte for byte (RFC 8414 section 3.3); http is for loopback only."""
    found = only_fault({**PRODUCTION, "BROKER_ISSUER": issuer})

    assert found[0] == "BROKER_ISSUER"
    assert mend in found[3]
    assert "hunter2" not in found[2] + found[3]


def test_a_line_break_in_a_value_is_refused() -> None:
    assert "line break" in only_fault({**PRODUCTION, "BROKER_ISSUER": "https://auth.example.com\n"})[2]


@pytest.mark.parametrize("text", ["clients.example.com", "clients.example.com:8443", "localhost:9000", "[::1]:9000"])
def test_a_metadata_host_is_a_host_with_or_without_a_port(text: str) -> None:
    assert load_from({"BROKER_CIMD_ALLOWED_HOSTS": text}).cimd_allowed_hosts == (text,)


@pytest.mark.parametrize("text", ["https://x.example.com", "X.example.com", "x.example.com/y", "*.example.com"])
def test_other_metadata_hosts_are_refused(text: str) -> None:
    assert "host:port" in only_fault({"BROKER_CIMD_ALLOWED_HOSTS": text})[3]


@pytest.mark.parametrize("text", ["cursor,com.example.app", '["vscode"]'])
def test_redirect_schemes_are_private_use_ones(text: str) -> None:
    assert load_from({"BROKER_REDIRECT_SCHEMES": text}).redirect_schemes


@pytest.mark.parametrize("text", ["cursor://", "Cursor", "java script", "javascript", "data", "http", "file"])
def test_redirect_schemes_that_run_or_read_something_are_refused(text: str) -> None:
    """Security rule C3: never `javascript:`, `data:` and the like, whatever is configured."""
    assert only_fault({"BROKER_REDIRECT_SCHEMES": text})[0] == "BROKER_REDIRECT_SCHEMES"


def test_a_file_must_be_readable(tmp_path: Path) -> None:
    good = tmp_path / "ca.pem"
    good.write_text("x")

    assert load_from({"BROKER_CIMD_CA_FILE": str(good)}).cimd_ca_file == str(good)
    assert "No such file" in only_fault({"BROKER_CIMD_CA_FILE": str(tmp_path / "none")})[2]
    assert "directory" in only_fault({"BROKER_CIMD_CA_FILE": str(tmp_path)})[2]
    assert only_fault({}, toml='cimd_ca_file = "a\\u0000b"')[0] == "cimd_ca_file"


@pytest.mark.parametrize("text", ["http://proxy:3128", "http://user:hunter2@proxy.example.com:3128"])
def test_a_proxy_may_carry_credentials(text: str) -> None:
    assert load_from({"BROKER_CIMD_PROXY": text}).cimd_proxy == text


@pytest.mark.parametrize("text", ["proxy:3128", "socks5://user:hunter2@proxy", "hunter2"])
def test_other_proxies_are_refused_without_quoting_them(text: str) -> None:
    _, _, wrong, mend = only_fault({"BROKER_CIMD_PROXY": text})

    assert "hunter2" not in wrong + mend


@pytest.mark.parametrize("text", [MASTER_KEY, MASTER_KEY.rstrip("="), MASTER_KEY.replace("-", "+").replace("_", "/")])
def test_a_master_key_is_32_bytes_in_base64url(text: str) -> None:
    assert load_from({"BROKER_MASTER_KEY": text}).master_keys == (bytes(range(32)),)


def test_the_first_of_several_master_keys_is_first() -> None:
    other = "A" * 43

    assert load_from({"BROKER_MASTER_KEY": f"{other},{MASTER_KEY}"}).master_keys == (bytes(32), bytes(range(32)))


@pytest.mark.parametrize(("text", "wrong"), [("c2hvcnQ", "5 bytes"), ("hunter2!", "base64url"), ("A", "base64url")])
def test_other_master_keys_are_refused_with_the_command_that_makes_one(text: str, wrong: str) -> None:
    _, _, told, mend = only_fault({"BROKER_MASTER_KEY": f"{MASTER_KEY},{text}"})

    assert wrong in told
    assert "in place 2" in told
    assert text not in told + mend
    assert "os.urandom(32)" in mend


def test_signing_keys_do_not_rotate_faster_than_they_can_be_published() -> None:
    """A key is published two hours before it signs: a rotation below that would only pile up keys that wait."""
    _, _, wrong, mend = only_fault({"BROKER_KEY_ROTATION": "1h"})

    assert wrong == "is 3600 seconds"
    assert mend == "write at least 1d (a new key is published two hours before it signs) and at most 3660d"
    assert load_from({"BROKER_KEY_ROTATION": "1d"}).key_rotation == DAY
