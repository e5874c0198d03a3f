from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model import SigningKey
from broker.protocol import key_ring
from broker.protocol.key_ring import PUBLISHED_AHEAD, State
from tests.broker.records import NOW

DAY = 86_400


def key(
    kid: str, activates_at: int, retires_at: int | None = None, gone_at: int | None = None, alg: str = "ES256"
) -> SigningKey:
    return SigningKey(
        kid=kid,
        alg=alg,
        sealed="",
        public_jwk="{}",
        created_at=0,
        activates_at=activates_at,
        retires_at=retires_at,
        gone_at=gone_at,
    )


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (9, State.PENDING),
        (10, State.ACTIVE),
        (19, State.ACTIVE),
        (20, State.RETIRING),
        (29, State.RETIRING),
        (30, State.GONE),
    ],
)
def test_a_state_follows_from_the_stored_times(now: int, state: State):
    """Architecture, section 5: pending, active, retiring, gone; rule F3."""
    assert key_ring.state(key("a", 10, 20, 30), now) is state


def test_every_replica_changes_to_the_next_key_at_the_same_second():
    """Security rule F3."""
    ring = [key("old", 0, 100), key("new", 100)]
    signing = [key_ring.signing_key(ring, "ES256", now) for now in (99, 100)]
    assert [k.kid for k in signing if k] == ["old", "new"]


def test_the_newest_active_key_signs():
    """Security rule F3."""
    found = key_ring.signing_key([key("a", 1), key("c", 3), key("b", 2)], "ES256", 10)
    assert found is not None
    assert found.kid == "c"


def test_a_clock_set_back_leaves_a_key_to_sign_with():
    """Security rule F4."""
    found = key_ring.signing_key([key("later", 200), key("first", 100)], "ES256", 10)
    assert found is not None
    assert found.kid == "first"


def test_retired_keys_and_other_algorithms_do_not_sign():
    """Security rule F3."""
    assert key_ring.signing_key([key("a", 0, 5), key("b", 0, alg="RS256")], "ES256", 10) is None


def test_the_first_key_of_an_algorithm_is_due_at_once():
    """Architecture, section 5."""
    assert key_ring.due([key("a", 0, alg="RS256")], "ES256", now=NOW, rotation=DAY) == NOW


def test_a_later_key_is_due_two_hours_before_it_signs():
    """Architecture, section 5: FastMCP caches a key set for an hour."""
    ring = [key("a", NOW)]
    assert key_ring.due(ring, "ES256", now=NOW + DAY - PUBLISHED_AHEAD - 1, rotation=DAY) is None
    assert key_ring.due(ring, "ES256", now=NOW + DAY - PUBLISHED_AHEAD, rotation=DAY) == NOW + DAY


def test_an_overdue_key_is_published_before_it_signs_all_the_same():
    """Architecture, section 5: after a long standstill too."""
    late = NOW + 10 * DAY
    assert key_ring.due([key("a", NOW)], "ES256", now=late, rotation=DAY) == late + PUBLISHED_AHEAD


def test_a_pending_key_is_successor_enough():
    """Architecture, section 5."""
    ring = [key("a", NOW, NOW + DAY), key("b", NOW + DAY)]
    assert key_ring.due(ring, "ES256", now=NOW + DAY - 5, rotation=DAY) is None


times = st.none() | st.integers(0, 50)


@given(st.lists(st.builds(key, st.text(max_size=3), st.integers(0, 50), times, times), max_size=5), st.integers(0, 60))
def test_between_two_boundaries_nothing_changes(ring: list[SigningKey], now: int):
    """Security rule F3: what was derived at one moment holds until the next boundary."""
    since, until = key_ring.boundaries(ring, now)
    assert since <= now < until
    for moment in range(since, min(until, 60)):
        assert [key_ring.state(k, moment) for k in ring] == [key_ring.state(k, now) for k in ring]
