from __future__ import annotations

from pathlib import Path

import pytest

from broker.oauth import InvalidGrant, Reason
from broker.protocol import jws, refresh_token
from broker.token_issuer import Authorization, TokenIssuer
from tests.broker.records import ISSUER, NOW, make_grant
from tests.broker.token_house import FILES, MAIL, decoded, open_house

AUTHORIZATION = Authorization(
    grant=make_grant(), resource=FILES, scopes=("files:read",), jti="jti-1", ttl=900, generation=None
)


async def test_a_response_is_complete_and_plain(tmp_path: Path):
    """RFC 6749 section 5.1: Bearer, integer lifetime, the scope always; security rule C10."""
    async with open_house(tmp_path) as house:
        issuer = TokenIssuer(ISSUER, "ES256", keys=house.keys, clock=house.clock)
        response = dict(await issuer.issue(AUTHORIZATION))
        _, claims = decoded(str(response.pop("access_token")))
        assert response == {"token_type": "Bearer", "expires_in": 900, "scope": "files:read"}
        assert (claims["iat"], claims["exp"], claims["jti"]) == (NOW, NOW + 900, "jti-1")


@pytest.mark.parametrize("alg", ["RS256", "ES256", "Ed25519"])
async def test_each_algorithm_signs_tokens_that_the_key_set_verifies(tmp_path: Path, alg: str):
    """Architecture, section 7: SIGNING_ALG."""
    async with open_house(tmp_path, signing_alg=alg, resources=(FILES,)) as house:
        issuer = TokenIssuer(ISSUER, alg, keys=house.keys, clock=house.clock)
        unverified = jws.parse(str((await issuer.issue(AUTHORIZATION))["access_token"]))
        assert unverified.alg == {"Ed25519": "EdDSA"}.get(alg, alg)
        key = house.keys.verification_key(unverified.kid)
        assert key is not None
        assert jws.decode_object(jws.verify(unverified, key))["sub"] == "u_alice"


async def test_a_resource_names_its_own_algorithm_and_type(tmp_path: Path):
    """Architecture, section 7: some verifiers accept only one."""
    async with open_house(tmp_path) as house:
        issuer = TokenIssuer(ISSUER, "ES256", keys=house.keys, clock=house.clock)
        mail = Authorization(
            grant=make_grant(), resource=MAIL, scopes=("mail:read",), jti="jti-2", ttl=60, generation=None
        )
        header, _ = decoded(str((await issuer.issue(mail))["access_token"]))
        assert (header["alg"], header["typ"]) == ("EdDSA", "JWT")


async def test_the_refresh_token_is_that_of_the_generation(tmp_path: Path):
    """Security rule E7: computed, so the same successor can be given again."""
    async with open_house(tmp_path) as house:
        issuer = TokenIssuer(ISSUER, "ES256", keys=house.keys, clock=house.clock)
        grant = make_grant(mac_key_id=house.keys.mac_key_id)
        asked = Authorization(grant=grant, resource=FILES, scopes=("files:read",), jti="jti-3", ttl=60, generation=4)
        first, second = [(await issuer.issue(asked))["refresh_token"] for _ in range(2)]
        unproven = refresh_token.parse(str(first))
        assert first == second
        assert unproven is not None
        assert unproven.generation == 4


async def test_a_grant_of_another_installation_gets_no_refresh_token(tmp_path: Path):
    """Security rule G11: a row alone mints nothing."""
    async with open_house(tmp_path) as house:
        issuer = TokenIssuer(ISSUER, "ES256", keys=house.keys, clock=house.clock)
        asked = Authorization(
            grant=make_grant(mac_key_id="unknown"), resource=FILES, scopes=(), jti="jti-4", ttl=60, generation=1
        )
        with pytest.raises(InvalidGrant) as refused:
            await issuer.issue(asked)
        assert refused.value.reason is Reason.REFRESH_UNKNOWN
