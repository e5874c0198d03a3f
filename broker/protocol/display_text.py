"""Words of strangers, made fit for a page (Unicode Standard Annex #9, Technical Report #36; security rule A12). Pure.

No control, bidirectional, zero-width or other invisible character, no pile of combining marks, one line, a bounded length.
Escaping for HTML is the page's business.
"""

from __future__ import annotations

import unicodedata

MAX_NAME = 80  # characters
MAX_MARKS = 2  # combining marks on one letter; real languages need no more after composition
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that are drawn as nothing
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_SEPARATORS = frozenset({"Zl", "Zp", "Zs"})


def clean(text: str, limit: int = MAX_NAME) -> str:
    """Return the visible characters of a text in one line of at most `limit` characters; empty when nothing is visible."""
    shown: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text[: limit * 8]):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category in _SEPARATORS or character in "\t\n\r":
            shown.append(" ")
        elif category not in _INVISIBLE and character not in _BLANK and marks <= MAX_MARKS:
            shown.append(character)
    line = " ".join("".join(shown).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
