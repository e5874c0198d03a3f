"""Resources in settings: short and long form, scopes, look-alikes (architecture, section 7; security rule C11)."""

from __future__ import annotations

import pytest

from broker.model import Requirement, digest
from tests.broker.settings_input import LONG_SECRET, PRODUCTION, load_from, only_fault, refused

FILES = {"BROKER_RESOURCES__FILES__URL": "https://files.example.com/mcp"}


@pytest.mark.parametrize(
    ("url", "id_"),
    [
        ("https://files.example.com/mcp", "files-example-com-mcp"),
        ("https://files.example.com", "files-example-com"),
        ("https://Files.example.com/a/B_c/", "files-example-com-a-b-c"),
        ("http://127.0.0.1:9000/mcp", "127-0-0-1-mcp"),
    ],
)
def test_the_short_form_takes_its_id_from_host_and_path_and_has_the_scope_mcp(url: str, id_: str) -> None:
    (resource,) = load_from({"BROKER_RESOURCES": url}).resources

    assert (resource.id, resource.url) == (id_, url)
    assert list(resource.scopes) == list(resource.default_scopes) == ["mcp"]
    assert resource.token_typ == "at+jwt"


@pytest.mark.parametrize("toml", [None, 'resources = ["https://a.example.com", "https://b.example.com"]'])
def test_the_short_form_is_a_list(toml: str | None) -> None:
    environ = {} if toml else {"BROKER_RESOURCES": "https://a.example.com,https://b.example.com"}

    assert len(load_from(environ, toml=toml).resources) == 2


def test_short_and_long_form_may_stand_together() -> None:
    assert len(load_from({**FILES, "BROKER_RESOURCES": "https://a.example.com"}).resources) == 2


def test_the_long_form_says_everything() -> None:
    (files,) = load_from(
        {
            **FILES,
            "BROKER_RESOURCES__FILES__NAME": "Files",
            "BROKER_RESOURCES__FILES__SCOPES": '{"files:read": "Read files", "files:write": "Change files"}',
            "BROKER_RESOURCES__FILES__DEFAULT_SCOPES": "files:read",
            "BROKER_RESOURCES__FILES__SECRET": LONG_SECRET,
            "BROKER_RESOURCES__FILES__SIGNING_ALG": "ES256",
            "BROKER_RESOURCES__FILES__TOKEN_TYP": "JWT",
            "BROKER_RESOURCES__FILES__ACCESS_TOKEN_TTL": "5m",
        }
    ).resources

    assert files.scopes == {"files:read": "Read files", "files:write": "Change files"}
    assert files.default_scopes == ("files:read",)
    assert files.secret_hash == digest(LONG_SECRET)
    assert (files.id, files.name, files.signing_alg, files.token_typ, files.access_token_ttl) == (
        "files",
        "Files",
        "ES256",
        "JWT",
        300,
    )


def test_the_default_scopes_are_all_scopes_unless_said() -> None:
    toml = '[resources.files]\nurl = "https://files.example.com"\n[resources.files.scopes]\n"a" = "A"\n"b:c" = "B"'

    assert load_from({}, toml=toml).resources[0].default_scopes == ("a", "b:c")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://files.example.com/mcp", "https://files.example.com/mcp/"),
        ("https://files.example.com", "HTTPS://FILES.example.com"),
        ("https://files.example.com:443/mcp", "https://files.example.com/mcp"),
        ("https://files.example.com/mcp", "https://files.example.com/mcp"),
    ],
)
def test_two_resources_that_a_request_could_not_tell_apart_are_refused(one: str, other: str) -> None:
    """Security rule C11: every token has exactly one audience."""
    environ = {"BROKER_RESOURCES__ONE__URL": one, "BROKER_RESOURCES__TWO__URL": other}
    faults = [wrong for _, _, wrong, _ in refused(environ)]

    assert any("could not tell from" in wrong or "http or https" in wrong for wrong in faults)


@pytest.mark.parametrize(
    "other", ["https://files.example.com/mcp2", "https://files.example.com/MCP", "https://files.example.com:8443/mcp"]
)
def test_resources_that_only_look_alike_are_two(other: str) -> None:
    assert len(load_from({**FILES, "BROKER_RESOURCES__TWO__URL": other}).resources) == 2


def test_two_short_forms_with_one_id_are_refused_with_the_long_form_as_mend() -> None:
    setting, _, _, mend = only_fault({"BROKER_RESOURCES": "http://localhost:9001/mcp,http://localhost:9002/mcp"})

    assert setting == "BROKER_RESOURCES"
    assert "BROKER_RESOURCES__<ID>__URL" in mend


@pytest.mark.parametrize(
    "url",
    [
        "files.example.com",
        "https://files.example.com/#x",
        "https://u:hunter2@files.example.com",
        "https://ü.example",
        "x",
    ],
)
def test_a_resource_that_is_no_plain_url_is_refused(url: str) -> None:
    """RFC 8707 section 2: an absolute URI without fragment."""
    _, _, wrong, _ = only_fault({"BROKER_RESOURCES__FILES__URL": url})

    assert "hunter2" not in wrong


def test_a_resource_without_url_is_refused() -> None:
    assert only_fault({"BROKER_RESOURCES__FILES__NAME": "Files"})[:3] == (
        "BROKER_RESOURCES__FILES__URL",
        "",
        "is missing",
    )


def test_a_resource_over_http_is_for_loopback_or_a_loopback_issuer() -> None:
    plain = {"BROKER_RESOURCES": "http://mcp.internal:9000/mcp"}

    assert load_from(plain).resources
    assert "in clear" in only_fault({**PRODUCTION, **plain})[2]
    assert load_from({**PRODUCTION, "BROKER_RESOURCES": "http://localhost:9000/mcp"}).resources


def test_the_issuer_itself_is_no_resource() -> None:
    """Its URL is the audience of client assertions (security rule E10)."""
    assert "the issuer itself" in only_fault({**PRODUCTION, "BROKER_RESOURCES": "https://auth.example.com/"})[2]


@pytest.mark.parametrize(
    "scopes",
    [
        "{}",
        '{"a b": "x"}',
        '{"": "x"}',
        '{"ä": "x"}',
        '{"a": ""}',
        '{"a": 1}',
        '["a"]',
        "a,b",
        '{"offline_access": "x"}',
    ],
)
def test_scopes_that_nobody_could_use_or_understand_are_refused(scopes: str) -> None:
    assert {s for s, *_ in refused({**FILES, "BROKER_RESOURCES__FILES__SCOPES": scopes})} == {
        "BROKER_RESOURCES__FILES__SCOPES"
    }


def test_a_default_scope_that_the_resource_does_not_have_is_refused() -> None:
    environ = {**FILES, "BROKER_RESOURCES__FILES__SCOPES": '{"files:read": "Read"}'}

    assert only_fault({**environ, "BROKER_RESOURCES__FILES__DEFAULT_SCOPES": "files:raed"})[3] == "write files:read"
    assert only_fault({**environ, "BROKER_RESOURCES__FILES__DEFAULT_SCOPES": ""})[0].endswith("DEFAULT_SCOPES")


@pytest.mark.parametrize("named", ["files", "https://files.example.com/mcp", "https://FILES.example.com/mcp/"])
def test_the_default_resource_is_named_by_id_or_url(named: str) -> None:
    assert load_from({**FILES, "BROKER_DEFAULT_RESOURCE": named}).default_resource == "https://files.example.com/mcp"


def test_a_default_resource_that_is_not_there_is_refused_with_those_that_are() -> None:
    assert "files" in only_fault({**FILES, "BROKER_DEFAULT_RESOURCE": "wiki"})[3]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"acr": "gold"}', Requirement(acr=("gold",))),
        (
            '{"acr": ["silver", "gold"], "max_login_age": "12h"}',
            Requirement(acr=("silver", "gold"), max_login_age=43200),
        ),
        ('{"max_login_age": 60}', Requirement(max_login_age=60)),
    ],
)
def test_a_resource_may_require_something_of_the_sign_in(written: str, meant: Requirement) -> None:
    (resource,) = load_from({**FILES, "BROKER_RESOURCES__FILES__REQUIRE": written}).resources
    assert resource.require == meant
    assert load_from(FILES).resources[0].require == Requirement()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{}", "requires nothing"),
        ("[]", "is not a JSON object"),
        ('{"acr": []}', "has acr, which is an empty list"),
        ('{"acr": 1}', "has acr, which is not a list of texts"),
        ('{"max_login_age": "soon"}', "has max_login_age, which"),
        ('{"max_age": "12h"}', "nothing that can be required"),
        ('{"amr": "hwk"}', "nothing that can be required"),
    ],
)
def test_a_requirement_that_cannot_be_meant_is_refused(written: str, says: str) -> None:
    assert says in only_fault({**FILES, "BROKER_RESOURCES__FILES__REQUIRE": written})[2]
