"""A list in one setting."""

from __future__ import annotations

import pytest

from providers.lists import parse_list


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("a", ("a",)),
        (" a , b,a ", ("a", "b")),
        ('["a", " b "]', ("a", "b")),
        (' ["a,b"]', ("a,b",)),
    ],
)
def test_a_list_is_comma_text_or_json(text: str, entries: tuple[str, ...]) -> None:
    """Architecture, section 7: lists are JSON or comma-separated."""
    assert parse_list(text) == entries


@pytest.mark.parametrize("text", ["", ",", "a,,b", "[]", '["a", ""]', '["a", 1]', "[a]", '[["a"]]'])
def test_a_list_that_is_empty_or_broken_is_refused(text: str) -> None:
    """Security rule G16: present but empty would restrict nobody, or everybody."""
    with pytest.raises(ValueError, match=r".*"):
        parse_list(text)
