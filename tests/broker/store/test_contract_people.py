"""Who is meant by a name that an administrator knows: the newest that sessions and grants say (architecture, section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from broker.model import Identity
from broker.store.base import Store
from tests.broker.records import NOW, make_code, make_grant, make_identity
from tests.broker.store.keeper import event, make_consent, make_session


async def known(store: Store, upstream_subject: str = "alice", **changes: Any) -> str:
    """Sign somebody in, as the callback does; return our subject."""
    subject = await store.subject_for(
        "https://idp.example.com", upstream_subject, namespace="", candidate=f"u_{upstream_subject}", now=NOW, events=()
    )
    identity = make_identity(subject=subject, upstream_subject=upstream_subject, **changes)
    session = make_session(session_hash=f"session of {upstream_subject}".encode(), identity=identity)
    await store.save_session(session, replaces=None, now=NOW, events=event())
    return subject


async def granted(store: Store, number: int, identity: Identity, at: int) -> None:
    code = make_code(code_hash=bytes([number]) * 32, request_id=f"request-{number}", grant_id=f"grant-{number}")
    grant = make_grant(grant_id=f"grant-{number}", handle=f"handle-{number}", identity=identity, created_at=at)
    assert await store.save_code(code, grant, make_consent(), now=NOW, events=event())


@pytest.mark.parametrize("named", ["u_alice", "alice", "alice@example.com", "Alice@Example.COM"])
async def test_a_person_is_known_by_subject_upstream_subject_and_address(store: Store, named: str):
    await known(store)
    await known(store, "bob", email="bob@example.com")
    assert [person.subject for person in await store.find_people(named)] == ["u_alice"]


@pytest.mark.parametrize("named", ["u_ali", "ali%", "%", "_lice", "lice@example.com", "a", "", "ALICE", "U_ALICE", "!"])
async def test_nobody_is_known_by_a_part_or_a_pattern(store: Store, named: str):
    await known(store)
    assert await store.find_people(named) == []


async def test_the_newest_word_about_a_person_counts(store: Store):
    """A grant keeps what was known when it was given; a newer session knows better, and the other way round."""
    await known(store, groups=("from the session",))
    await granted(store, 1, make_identity(groups=("older",)), NOW - 100)
    (person,) = await store.find_people("alice")
    assert person.groups == ("from the session",)
    await granted(store, 2, make_identity(groups=("newer",), email="new@example.com"), NOW + 100)
    (person,) = await store.find_people("alice")
    assert person.groups == ("newer",)
    assert await store.find_people("alice@example.com") == [], "an address of before is nobody's"


async def test_people_with_one_address_are_all_told(store: Store):
    """Security rule B10: an address is no identity."""
    await known(store)
    await known(store, "twin", email_verified=False)
    assert {person.subject for person in await store.find_people("alice@example.com")} == {"u_alice", "u_twin"}


@pytest.mark.parametrize("stored", ["\u00c9lise@example.com", "\u00e9lise@example.com"])
@pytest.mark.parametrize("named", ["\u00c9lise@example.com", "\u00e9lise@example.com", "\u00c9LISE@EXAMPLE.COM"])
async def test_the_case_of_letters_beyond_ascii_does_not_matter_either(store: Store, stored: str, named: str):
    """Contract, `users revoke`: whoever has to go is found; another letter is another address."""
    await known(store, email=stored)
    await known(store, "bob", email="\u00e8lise@example.com")
    assert [person.subject for person in await store.find_people(named)] == ["u_alice"]


async def test_odd_addresses_are_found(store: Store):
    await known(store, email="o'%_!\"x\u00e9@example.com")
    assert len(await store.find_people("o'%_!\"x\u00e9@example.com")) == 1
