"""providers/README.md is held to the code: each type has a section, and what a section names exists and does what it says."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path

import httpx2
import pytest

from broker.config import examine
from broker.config.short import short_names
from broker.config.table import BROKER, PROVIDER, provider_table
from providers import okta
from providers.base import (
    ATTRIBUTES,
    EndsSession,
    Provider,
    ProviderSettings,
    RefreshesIdentity,
    SpeaksFor,
    VerifiesLogout,
)
from providers.http import UpstreamHttp
from providers.options import OPTIONS
from providers.registry import build, provider_types
from tests.broker.settings_input import LONG_SECRET, PRODUCTION
from tests.house.test_layers import ROOT, modules
from tests.providers.scripted_directory import key_file

TYPES = provider_types([])
README = (ROOT / "providers" / "README.md").read_text()
CODE = "\n".join(path.read_text() for path in modules("providers"))
PARTS = {found[1]: found[2] for found in re.finditer(r"^## (.+)\n((?:.*\n)*?)(?=^## |\Z)", README, re.MULTILINE)}
COMMON = PARTS["What holds for every provider"]
ROWS = {found[1]: found for found in re.finditer(r"^\| \[`(\w+)`\]\(#([\w-]+)\) \|(.*)\|$", README, re.MULTILINE)}
SPEAKS = {SpeaksFor.VERIFIED: "*verified*", SpeaksFor.LISTED: "*listed*", SpeaksFor.VOUCHED: "*vouched*"}
KEY_FILE = "/etc/mcp-broker/google-service-account.json"
RESOURCE = """
[resources.files]
url = "https://files.example.com/mcp"
scopes = { "files:read" = "Read your files", "files:write" = "Change and delete your files" }
"""

every_type = pytest.mark.parametrize("kind", sorted(TYPES))


def anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def section(kind: str) -> str:
    """Return the section of a type, which its row at the top points to."""
    return next(text for title, text in PARTS.items() if anchor(title) == ROWS[kind][2])


def paragraph(kind: str, name: str) -> str:
    """Return a paragraph of a section by the words in bold that it begins with, on one line."""
    (found,) = re.findall(rf"^\*\*{name}\*\*((?:.+\n)+)", section(kind), re.MULTILINE)
    return " ".join(str(found).split())


def cells(kind: str) -> dict[str, str]:
    """Return the row of a type in the table at the top."""
    (head,) = re.findall(r"^\| type \|(.*)\|$", README, re.MULTILINE)
    return dict(zip((c.strip() for c in head.split("|")), (c.strip() for c in ROWS[kind][3].split("|")), strict=True))


def fenced(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def named_in_tables(text: str) -> set[str]:
    """Return the names in the first column of the tables of variables."""
    tables = re.findall(r"\| name \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
    first = [row.split("|")[1] for table in tables for row in table.splitlines()]
    return {name.lower() for cell in first for name in re.findall(r"`([A-Z_]+)`", cell)}


def environment(kind: str) -> dict[str, str]:
    """Return the variables of a section as somebody would set them, with a secret, and with a key file that is there."""
    lines = [line for block in fenced(section(kind), "env") for line in block.splitlines()]
    there = {KEY_FILE: _key_file(), "…": LONG_SECRET}
    given = dict(line.split("=", 1) for line in lines)
    for word, instead in there.items():
        given = {name: value.replace(word, instead) for name, value in given.items()}
    return given


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mcp-broker-readme-")  # gone with the process


def _key_file() -> str:
    return key_file(Path(_folder().name))


@cache
def adapter(kind: str) -> Provider:
    """Build the adapter of a section's variables; it makes no request."""
    (provider,) = examine(None, {**PRODUCTION, **environment(kind)}, RESOURCE.encode(), TYPES).settings.providers
    settings: ProviderSettings = provider.adapter
    return build(settings, UpstreamHttp(httpx2.AsyncClient(trust_env=False), timeout=1), lambda: 0, TYPES)


def test_variables_are_lines_of_an_environment_file_and_called_so() -> None:
    """`NAME={"2": "mfa"}` means something else to a shell."""
    assert not fenced(README, "sh")
    assert "lines of an environment file" in COMMON
    lines = [line for block in fenced(README, "env") for line in block.splitlines()]
    assert len(lines) > 20
    assert not [line for line in lines if not re.fullmatch(r"[A-Z0-9_]+=[^'\"].*", line)]


def test_every_registered_type_has_a_row_and_a_section() -> None:
    assert set(ROWS) == set(TYPES)
    assert {row[2] for row in ROWS.values()} <= {anchor(title) for title in PARTS}


def test_every_link_leads_somewhere() -> None:
    titles = {anchor(title) for title in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", README)) <= titles


@every_type
def test_the_table_says_what_the_type_can(kind: str) -> None:
    row, gives, provider = cells(kind), TYPES[kind].gives, adapter(kind)
    assert isinstance(provider, RefreshesIdentity) == (row["refreshes"] != "no")
    assert isinstance(provider, VerifiesLogout) == (row["back-channel logout"] != "no")
    assert isinstance(provider, EndsSession) == (row["RP-initiated logout"] != "no")
    assert ("group" in gives, "role" in gives) == (row["groups"] != "no", row["roles"] != "no")
    words = {"acr": "`acr`", "amr": "`amr`", "auth_time": "age"}
    assert row["says of a sign-in"] == (", ".join(word for name, word in words.items() if name in gives) or "no")
    assert "15 min" in row["a leaver is out within"]


@every_type
def test_a_section_spells_out_exactly_what_is_registered(kind: str) -> None:
    text, provider = section(kind), adapter(kind)
    assert set(re.findall(r"<issuer>/callback/([\w<> -]+)", text)) == {kind}
    told = set(re.findall(r"<issuer>/backchannel-logout/([\w<> -]+)", text))
    assert told == ({kind} if isinstance(provider, VerifiesLogout) else set())
    assert ("<issuer>/logout`" in text) == isinstance(provider, EndsSession)


@every_type
def test_a_section_says_what_rules_can_and_cannot_use(kind: str) -> None:
    """`ProviderType.gives`: what is neither listed nor denied would be a guess."""
    said = paragraph(kind, "Rules can use")
    can, _, cannot = (re.sub("max_login_age", "auth_time", part) for part in said.partition("; not "))
    assert set(re.findall(r"`(\w+)`", can)) == TYPES[kind].gives
    assert set(re.findall(r"`(\w+)`", cannot)) in (ATTRIBUTES - TYPES[kind].gives, set())
    assert cannot or kind == "oidc"


@every_type
def test_a_section_says_whose_addresses_count(kind: str) -> None:
    assert SPEAKS[TYPES[kind].speaks_for] in paragraph(kind, "E-mail")
    assert all(word.strip("*").capitalize() in COMMON for word in SPEAKS.values())


@every_type
def test_a_section_says_how_quickly_a_leaver_is_out_and_the_rest(kind: str) -> None:
    leaver = paragraph(kind, "A leaver is out")
    assert "re-check" in leaver
    for name in ("In the console", "Variables", "Refresh", "Step-up", "Groups unknown"):
        assert re.search(rf"^\*\*{name}\*\*", section(kind), re.MULTILINE), name


@every_type
def test_the_variables_and_rules_of_a_section_load_as_they_stand(kind: str) -> None:
    """On a production issuer, where nothing may be missing, and with nothing to warn of."""
    rules = fenced(section(kind), "toml")
    assert rules
    found = examine(None, {**PRODUCTION, **environment(kind)}, (RESOURCE + "\n".join(rules)).encode(), TYPES)
    assert (found.unmet, found.settings.warnings) == ((), ())
    assert len(found.settings.policy) >= 1
    assert [p.adapter.type for p in found.settings.providers] == [kind]


@every_type
def test_every_option_of_a_type_is_documented_and_every_documented_one_exists(kind: str) -> None:
    here = named_in_tables(section(kind))
    everywhere = named_in_tables(COMMON)
    assert here <= set(provider_table(TYPES)) & (TYPES[kind].options | set(PROVIDER)), "of another type, or of none"
    assert TYPES[kind].options <= here | (everywhere & OPTIONS), "documented nowhere"
    if "groups_claim" not in TYPES[kind].options:
        assert TYPES[kind].options <= here, "the variables of the OpenID types are not its own"


def test_the_common_tables_are_the_code() -> None:
    every, openid, _ = COMMON.partition("### Variables of the OpenID types")
    assert named_in_tables(every) == set(PROVIDER)
    assert named_in_tables(COMMON) - set(PROVIDER) == OPTIONS
    assert openid
    without = {kind for kind, found in TYPES.items() if not found.options >= OPTIONS}
    assert without == {"github", "entra"}
    assert TYPES["entra"].options >= OPTIONS - {"userinfo"}


def test_every_long_variable_that_is_named_exists_for_its_type() -> None:
    table = provider_table(TYPES)
    for id_, name in re.findall(r"BROKER_PROVIDERS__([A-Z0-9]+|<ID>)__([A-Z_]*[A-Z])", README):
        kind = TYPES.get(id_.lower())
        known = set(table) if kind is None else kind.options | set(PROVIDER)
        assert name.lower() in known, f"BROKER_PROVIDERS__{id_}__{name}"
    for name in set(re.findall(r"\bBROKER_(?!PROVIDERS_)[A-Z_]*[A-Z]", README)):
        assert name.removeprefix("BROKER_").lower() in {*BROKER, "provider_aliases"}, name


def test_scopes_are_written_as_the_setting_takes_them():
    """With spaces between them, as they travel, `config validate` refuses them."""
    named = re.findall(r"`SCOPES`(?: of| \|)\s`([^`]+)`", README)
    assert len(named) == 5, "LemonLDAP::NG, Keycloak, GitHub, Entra ID, authentik"
    for text in named:
        settings = {**PRODUCTION, "OIDC_ISSUER": "https://idp.example.com", "OIDC_CLIENT_ID": "broker"}
        secret = {"OIDC_CLIENT_SECRET": LONG_SECRET, "BROKER_PROVIDERS__OIDC__SCOPES": text}
        (provider,) = examine(None, {**settings, **secret}, None, TYPES).settings.providers
        assert provider.adapter.scopes == tuple(text.split(","))


def test_every_short_variable_that_is_named_is_read() -> None:
    prefixes = "|".join(sorted({str(kind.env_prefix) for kind in TYPES.values() if kind.env_prefix} | {"AZURE"}))
    named = set(re.findall(rf"(?<![A-Z_])(?:{prefixes})_[A-Z_]*[A-Z]", README))
    assert len(named) > 10
    assert named - set(short_names(TYPES)) == {"GITHUB_API_URL"}
    assert "`GITHUB_API_URL` is not read" in README


@every_type
def test_every_reason_and_scope_that_is_named_stands_in_the_code(kind: str) -> None:
    """A word that nothing writes would send somebody looking for it."""
    words = re.findall(r"`([a-z]+(?:_[a-z]+)*)`", paragraph(kind, "Groups unknown"))
    reasons = [word for word in words if word not in ("profile", "openid")]
    assert reasons
    for word in reasons:
        front, _, back = word.partition("_")
        assert f'"{word}"' in CODE or (f'f"{front}_{{' in CODE and f'"{back}"' in CODE), word


@pytest.mark.parametrize(
    "words",
    [
        "Groups claim filter: groups, Starts with, what your groups for MCP servers begin with",
        "with more than 100 that match, Okta gives no token",
    ],
)
def test_oktas_groups_are_filtered_in_the_same_words_by_the_doctor_and_here(words: str) -> None:
    assert words in " ".join(re.sub(r"[`*]", "", section("okta")).split())
    assert words in okta.PRESET.console.groups


def test_googles_scopes_are_those_that_the_adapter_asks() -> None:
    asked = set(re.findall(r'scope="(https://[^"]+)"', CODE))
    assert len(asked) == 2
    assert set(re.findall(r"https://www\.googleapis\.com/auth/[\w.-]+", section("google"))) == asked


def test_every_file_of_the_package_has_its_row() -> None:
    """Adapters of one provider stand together."""
    rows = " ".join(re.findall(r"^\| (`.+`.*?) \|", PARTS["Writing an adapter"], re.MULTILINE))
    presets = {f"{kind}.py" for kind in TYPES} | {"generic.py", "__init__.py"}
    small = {"urls.py", "lists.py", "pkce.py", "private_key.py", "group_source.py"}
    own = re.compile(r"(entra|github|google)_\w+\.py")
    files = {path.name for path in modules("providers")} - presets - small
    assert {name for name in files if not own.fullmatch(name)} <= set(re.findall(r"`([\w.]+)`", rows))


def test_every_class_that_is_named_exists() -> None:
    named = set(re.findall(r"`(\w+(?:Provider|Session|Tokens|Logout|Identity))`", PARTS["Writing an adapter"]))
    assert len(named) > 8
    assert not [name for name in named if f"class {name}" not in CODE]
