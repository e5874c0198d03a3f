"""JSON and base64url with one spelling."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.strict import Malformed, base64url, json_array, json_object


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'"text"',
        b"null",
        b"{",
        b'{"a": 1} trailing',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\\ud800"}',
        b'{"a": ["\\uDFFF"]}',
        b'{"\\udc00": 1}',
        b'\xff{"a": 1}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_json_with_two_readings_or_none_is_refused(text: bytes) -> None:
    """Security rule G6; RFC 8259 section 4, RFC 7519 section 4."""
    with pytest.raises(Malformed) as caught:
        json_object(text)
    assert caught.value.args == ()


def test_a_surrogate_pair_is_a_character() -> None:
    """RFC 8259 section 7."""
    assert json_object(rb'{"a": "\ud83d\ude00"}') == {"a": "😀"}


@given(st.dictionaries(st.text(), st.one_of(st.integers(-(10**300), 10**300), st.text(), st.booleans(), st.none())))
def test_every_object_comes_back(value: dict[str, Any]) -> None:
    """RFC 8259."""
    assert json_object(json.dumps(value).encode()) == value
    assert json_object(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary())
def test_base64url_has_one_spelling(data: bytes) -> None:
    """RFC 7515 section 2; RFC 4648 section 3.5: no padding, no stray bits, no other alphabet."""
    text = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert base64url(text) == data
    for other in (text + "=", text + "\n", " " + text, text + "ü", text + "A===="):
        with pytest.raises(Malformed):
            base64url(other)


@pytest.mark.parametrize("text", ["A", "AB", "AAB", "-_+/", "A/==", "AAA=", "AAAAA"])
def test_base64url_that_no_encoder_makes_is_refused(text: str) -> None:
    """RFC 4648 section 3.5."""
    with pytest.raises(Malformed):
        base64url(text)


@pytest.mark.parametrize("text", [b"{}", b"7", b"[", b"[NaN]", b'[{"a": 1, "a": 2}]'])
def test_an_array_is_read_as_strictly(text: bytes) -> None:
    """RFC 8259 section 4."""
    assert json_array(b'[{"a": 1}, 2]') == [{"a": 1}, 2]
    with pytest.raises(Malformed):
        json_array(text)
