"""Security rule F2: no false accept on the Wycheproof vectors for JSON Web Signature and JSON Web Key.

Every vector goes through the very functions that the verifier uses. The rules are ours where the RFCs leave a choice:
- `invalid` must be refused, whatever algorithm it names.
- `valid` must be accepted when its key and algorithm are among ours (RS256, ES256; the suite has no EdDSA), so that the
  refusals above are not those of a verifier that refuses everything. Valid HMAC, RSA-PSS, RS384, RS512 and P-521 vectors must be
  refused: those algorithms are not ours, and a symmetric key is nobody's public key.
- Where there are no vectors the tests skip, but never in continuous integration, which has shared/ beside its clone.
- The suite marks nothing `acceptable`; a new edition that does is told to the reader, not guessed at.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from joserfc.errors import JoseError

from broker.protocol.jws import JwsRefused, import_keys, parse, verify

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"
OURS = {"RS256", "ES256"}


def missing(vectors: Path, environ: Mapping[str, str]) -> bool:
    """Whether the tests may skip for want of the vectors: fails where they may not."""
    if vectors.is_dir():
        return False
    if environ.get("CI"):
        pytest.fail(
            f"{vectors} is not here, and in CI nothing is skipped: put a copy of shared/ beside the clone",
            pytrace=False,
        )
    return True


@pytest.fixture(autouse=True)
def suite() -> None:
    if missing(VECTORS, os.environ):
        pytest.skip("the Wycheproof vectors (../shared/vectors) are not here")


def test_without_the_vectors_ci_fails_and_only_others_skip(tmp_path: Path) -> None:
    """A proof that does not run proves nothing: CI says what is missing."""
    assert missing(tmp_path / "vectors", {"CI": ""})
    assert not missing(tmp_path, {"CI": "true"})
    with pytest.raises(pytest.fail.Exception, match="put a copy of shared/ beside the clone"):
        missing(tmp_path / "vectors", {"CI": "true"})


def groups(name: str) -> list[dict[str, Any]]:
    path = VECTORS / f"wycheproof_json_web_{name}.json"
    if not path.is_file():  # collected without the folder; `suite` decides
        return []
    loaded: list[dict[str, Any]] = json.loads(path.read_text())["testGroups"]
    return loaded


def accepted(token: str, keys: list[dict[str, Any]]) -> bool:
    """Whether the verifier's own steps accept a token under a set of published keys."""
    try:
        unverified = parse(token)
        verify(unverified, import_keys({"keys": keys})[unverified.kid])
    except (JwsRefused, KeyError):
        return False
    return True


def published(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a group's keys as a set; HMAC groups publish their secret, as a careless issuer would."""
    key = group.get("public", group["private"])
    members: list[dict[str, Any]] = key.get("keys", [key])
    return members


def expected(group: dict[str, Any], test: dict[str, Any]) -> bool:
    """Return whether this vector is to be accepted."""
    assert test["result"] in {"valid", "invalid"}, "a new kind of result: decide what it means"
    return test["result"] == "valid" and any(key.get("alg") in OURS for key in published(group))


def cases(name: str) -> list[Any]:
    return [
        pytest.param(group, test, id=f"{test['tcId']}-{group['comment']}-{test['comment']}")
        for group in groups(name)
        for test in group["tests"]
    ]


@pytest.mark.parametrize(("group", "test"), cases("signature"))
def test_a_signature_vector(group: dict[str, Any], test: dict[str, Any]) -> None:
    """Security rule F2, RFC 7515."""
    assert accepted(test["jws"], published(group)) is expected(group, test)


@pytest.mark.parametrize(("group", "test"), cases("key"))
def test_a_key_vector(group: dict[str, Any], test: dict[str, Any]) -> None:
    """Security rule F2, RFC 7517."""
    assert accepted(test["jws"], published(group)) is expected(group, test)


def test_the_private_half_of_a_key_is_never_a_key_to_verify_with() -> None:
    """RFC 7517 section 9.3: whoever publishes it has lost it."""
    every = [group["private"] for group in groups("signature") + groups("key")]
    private = [key for each in every for key in each.get("keys", [each]) if {"d", "k"} & key.keys()]

    assert len(private) >= 40
    assert [kid for key in private for kid in import_keys({"keys": [key]})] == []


def test_the_suite_ran() -> None:
    """Counted for each kind of group, so that an empty or renamed file is a failure."""
    signature, key = groups("signature"), groups("key")
    assert {group["type"] for group in signature} == {"JsonWebSignature"}
    assert {group["type"] for group in key} == {"JsonWebKey"}
    verdicts = Counter(
        (group["type"], test["result"], expected(group, test)) for group in signature + key for test in group["tests"]
    )
    assert verdicts["JsonWebSignature", "invalid", False] >= 350
    assert verdicts["JsonWebSignature", "valid", True] >= 8
    assert verdicts["JsonWebSignature", "valid", False] >= 25
    assert verdicts["JsonWebKey", "invalid", False] >= 20
    assert verdicts["JsonWebKey", "valid", True] >= 1
    assert sum(verdicts.values()) == 401 + 26


def test_every_invalid_vector_is_refused_by_our_own_error() -> None:
    """A refusal is a word of ours: nothing else escapes to become a 5xx."""
    for group in groups("signature") + groups("key"):
        keys = import_keys({"keys": published(group)})
        for test in group["tests"]:
            try:
                unverified = parse(test["jws"])
                if unverified.kid in keys:
                    verify(unverified, keys[unverified.kid])
            except JwsRefused:
                continue
            except (JoseError, ValueError, TypeError) as error:
                pytest.fail(f"vector {test['tcId']}: {error!r}")
