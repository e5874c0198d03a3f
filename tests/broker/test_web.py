"""Bodies and forms as they are read, and pages that are put together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from broker.clock import Ids, SystemEntropy
from broker.oauth import InvalidRequest
from broker.pages import Pages
from broker.web import MAX_FIELDS, parse_urlencoded, read_body

HEADERS = [(b"content-length", b"4")]


def body_of(receive: Callable[[], Awaitable[dict[str, object]]]) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/", "headers": HEADERS}, receive)


@given(st.text(alphabet="ab%20+&=;\xe9CF", max_size=40))
def test_forms_are_read_as_the_standard_library_reads_them(text: str):
    """Security rule G6; URL Standard section 5.1."""
    try:
        pairs = parse_qsl(
            text.encode().decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
        names = [name for name, _ in pairs]
        wanted = None if len(set(names)) < len(names) else {name: value for name, value in pairs if value}
    except ValueError:
        wanted = None
    try:
        found = parse_urlencoded(text.encode()).as_mapping()
    except InvalidRequest:
        found = None
    assert found == wanted


def test_a_form_of_too_many_fields_is_refused():
    """Security rule G6."""
    assert parse_urlencoded(b"&".join(b"f%d=" % n for n in range(MAX_FIELDS))).as_mapping() == {}
    with pytest.raises(InvalidRequest):
        parse_urlencoded(b"&" * MAX_FIELDS)


async def test_a_body_that_does_not_arrive_in_time_is_refused_and_ends_nothing_else():
    """Security rule G14."""

    async def never() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(InvalidRequest):
        await read_body(body_of(never), within=0.01)
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancelled_request_is_cancelled_whatever_its_body_does():
    async def never() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    task = asyncio.create_task(read_body(body_of(never)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_caller_who_hangs_up_in_the_middle_is_refused():
    messages: list[dict[str, object]] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    with pytest.raises(InvalidRequest):
        await read_body(body_of(receive))


def test_a_page_put_together_is_the_page_rendered_at_once():
    """Security rule A12: whatever stands in it is escaped, and nobody's text passes for a place to put something."""
    told: dict[str, Any] = {"title": "<!0!>", "what": "&lt;!1!", "link": None}
    pages = Pages()
    varying: dict[str, Any] = {"code": "<b>'\"", "who": "nobody"}
    for _ in range(2):
        made = pages.render_alike("error.html", tuple(told.items()), varying)
        whole = pages.render("error.html", status=200, **told, **varying)
        assert made.body == whole.body
        assert sorted(made.headers.items()) == sorted(whole.headers.items())


def test_ids_never_repeat_and_are_as_long_as_asked():
    ids = Ids(SystemEntropy(), 12, block=3)
    made = [ids.next() for _ in range(10)]
    assert len(set(made)) == 10
    assert {len(one) for one in made} == {16}
