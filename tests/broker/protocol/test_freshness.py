"""How long fetched documents may be reused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol.freshness import lifetime

NOON = "Wed, 21 Oct 2026 12:00:00 GMT"
TEN_PAST = "Wed, 21 Oct 2026 12:10:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"cache_control": "max-age=3600"}, 3600),
        ({"cache_control": "public , MAX-AGE = 3600"}, 3600),
        ({"cache_control": 'private="x, y", max-age="600"'}, 600),
        ({"cache_control": "max-age=3600", "age": "600"}, 3000),
        ({"cache_control": "max-age=3600", "age": "nonsense"}, 3600),
        ({"cache_control": "max-age=1"}, 60),
        ({"cache_control": "max-age=0"}, 60),
        ({"cache_control": "max-age=31536000"}, 86400),
        ({"cache_control": "max-age=9999999999999"}, 86400),
        ({"cache_control": "max-age"}, 60),
        ({"cache_control": "max-age=-5"}, 60),
        ({"cache_control": "no-cache, max-age=3600"}, 60),
        ({"cache_control": "no-store"}, 60),
        ({"cache_control": "must-revalidate"}, 300),
        ({"expires": TEN_PAST, "date": NOON}, 600),
        ({"expires": NOON, "date": TEN_PAST}, 60),
        ({"expires": "0"}, 60),
        ({"expires": TEN_PAST}, 60),
        ({"expires": TEN_PAST, "date": "Wed, 21 Oct 2026 12:00:00 -0000"}, 60),
        ({"cache_control": "max-age=120", "expires": TEN_PAST, "date": NOON}, 120),
    ],
)
def test_headers_are_respected_between_a_minute_and_a_day(headers: dict[str, str], seconds: int) -> None:
    """Rule D9; RFC 9111 section 4.2.1."""
    assert lifetime(**headers) == seconds


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=40), st.text(max_size=40))
def test_no_header_is_too_odd(cache_control: str, age: str, expires: str, date: str) -> None:
    """Rule D9: clamped, and never an error."""
    assert 60 <= lifetime(cache_control=cache_control, age=age, expires=expires, date=date) <= 86400


@pytest.mark.parametrize("piece", [",", " ", ", ", "a", "a=", '"', "max-age=1,", "0", "\t,"])
@pytest.mark.parametrize("name", ["cache_control", "age", "expires", "date"])
def test_a_long_value_counts_as_the_least_and_costs_nothing(name: str, piece: str) -> None:
    """Rules D6, G14: a stranger's headers are read on the event loop; a run of commas once held it for minutes."""
    headers = {"cache_control": "max-age=3600" if name == "age" else "", "expires": TEN_PAST, "date": NOON}
    began = time.process_time()
    assert lifetime(**{**headers, name: piece * (90_000 // len(piece))}) == 60
    assert time.process_time() - began < 0.5
