"""Names that strangers give themselves."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol.display_text import clean, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Claude", "Claude"),
        ("  Claude \t\r\n Code ", "Claude Code"),
        ("Résumé 日本語 עברית", "Résumé 日本語 עברית"),
        ("e\u0301", "\u00e9"),
        ("evil\u202etxt.exe", "eviltxt.exe"),
        ("a\u200bb\u200dc\ufeffd\u00ade", "abcde"),
        ("a\u2066b\u2069", "ab"),
        ("\u3164\u115f\u2800", ""),
        ("\x00\x07\x1b[31m", "[31m"),
        ("\U000e0041\U000e0042", ""),
        ("one\u2028two\u2029three\u00a0four", "one two three four"),
        ("\ud800x", "x"),
        ("C\u034fl\ufe0fa\u17b5u\u180bd\U000e0100e\U0001d159", "Claude"),
        ("\u034f\ufe0f\u17b5", ""),
        ("\u0301\u0301", ""),
        ("... \u2014 !", ""),
        ("\u2764\ufe0f", "\u2764"),
        ("", ""),
        ("x\u0316\u0317\u0318\u0319y", "x\u0316\u0317y"),
    ],
)
def test_only_visible_characters_remain_in_one_line(text: str, shown: str) -> None:
    """Rule A12."""
    assert clean(text) == shown


def test_a_long_name_ends_in_an_ellipsis() -> None:
    """Rule A12: truncated."""
    assert clean("n" * 500) == "n" * 79 + "\N{HORIZONTAL ELLIPSIS}"
    assert clean("n" * 80) == "n" * 80
    assert len(clean("\u0316" * 100_000)) <= 80


@given(st.text(st.characters(), max_size=400))
def test_no_text_gets_past_with_anything_invisible(text: str) -> None:
    """Rule A12."""
    shown = clean(text)
    assert len(shown) <= 80
    assert not shown or any(unicodedata.category(c)[0] in "LNS" for c in shown)
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for c in shown)
    assert clean(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    "code", [0x34F, 0xFE0F, 0x17B5, 0x180B, 0xE0100, 0x1D159, 0x115F, 0x2065, 0xFFF5, 0xE0FFF, 0x2800]
)
def test_a_character_that_is_drawn_as_nothing_makes_no_second_name(code: int) -> None:
    """Rule A12: Default_Ignorable_Code_Point, and blanks; two names that look alike are alike."""
    assert clean(f"Cla{chr(code)}ude") == "Claude"


def test_a_name_cannot_close_the_marks_around_it() -> None:
    """Rule A12."""
    assert quoted("Claude\u201d, vouched for by \u201cAnthropic") == "\u201cClaude', vouched for by 'Anthropic\u201d"
    assert quoted('a"b') == "\u201ca'b\u201d"
