"""The three people of the development identity provider, and what can be switched about each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who can be picked. `groups` None leaves the claim out (unknown), an empty tuple is an empty list (none)."""

    id: str
    subject: str
    name: str
    email: str
    email_verified: bool
    groups: tuple[str, ...] | None
    acr: str = "1"
    amr: tuple[str, ...] = ("pwd",)
    disabled: bool = False


ALICE = Person(
    id="alice",
    subject="8f14e45f-ceea-467f-9575-alice0000001",
    name="Alice Arden",
    email="alice@example.com",
    email_verified=True,
    groups=("engineering", "on-call"),
    acr="2",
    amr=("pwd", "otp", "mfa"),
)
BOB = Person(
    id="bob",
    subject="45c48cce-2e2d-4fbd-aa1a-bob000000002",
    name="Bob Brook",
    email="bob@example.com",
    email_verified=True,
    groups=("sales",),
)
MALLORY = Person(
    id="mallory",
    subject="d3d94468-02a4-4259-b55d-mallory00003",
    name="Mallory Marsh",
    email="mallory@elsewhere.example",
    email_verified=False,
    groups=("contractors",),
)
EVERYBODY = (ALICE, BOB, MALLORY)


class People:
    """The people as they are now; a switch replaces one of them."""

    def __init__(self, people: Iterable[Person] = EVERYBODY) -> None:
        """Keep them by id."""
        self._people = {person.id: person for person in people}

    def __iter__(self) -> Iterator[Person]:
        return iter(tuple(self._people.values()))

    def find(self, person_id: str) -> Person | None:
        """Return a person by id, as they are now."""
        return self._people.get(person_id)

    def change(
        self, person_id: str, *, groups: tuple[str, ...] | None, email_verified: bool, disabled: bool
    ) -> Person | None:
        """Set the switches of a person; None when there is no such person."""
        person = self._people.get(person_id)
        if person is not None:
            person = replace(person, groups=groups, email_verified=email_verified, disabled=disabled)
            self._people[person_id] = person
        return person
