"""Words of strangers, made fit for a page (Unicode Standard Annex #9, Technical Report #36; security rule A12). Pure.

No control, bidirectional, zero-width or other invisible character, no pile of combining marks, one line, a bounded length, and
something to read: a text without a letter, digit or symbol is none.
Escaping for HTML is the page's business.
"""

from __future__ import annotations

import unicodedata

MAX_NAME = 80  # characters
MAX_MARKS = 2  # combining marks on one letter; real languages need no more after composition
# Letters, marks and symbols that are drawn as nothing: Braille's and music's blanks, fillers of Khitan and of hieroglyphs.
_BLANK = frozenset("\u2800\U0001d159\U00016fe4\U00013441\U00013442")
# Default_Ignorable_Code_Point of the Unicode Character Database (DerivedCoreProperties.txt), first and last of each range.
_IGNORABLE = (
    *(
        (0xAD, 0xAD),
        (0x34F, 0x34F),
        (0x61C, 0x61C),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x200B, 0x200F),
    ),
    *((0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0)),
    *((0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
_QUOTES = str.maketrans(dict.fromkeys('"\u201c\u201d\u201e\u201f\u2033\u2036\u275d\u275e\u301d\u301e\u301f\uff02', "'"))
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
_SEPARATORS = frozenset({"Zl", "Zp", "Zs"})


def clean(text: str, limit: int = MAX_NAME) -> str:
    """Return the visible characters of a text in one line of at most `limit` characters; empty when nothing is left to read."""
    if text.isascii() and text.isprintable():  # nothing to compose, and nothing but the blank is invisible
        return _readable(" ".join(text[: limit * 8].split()), limit)
    shown: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text[: limit * 8]):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category in _SEPARATORS or character in "\t\n\r":
            shown.append(" ")
        elif category not in _INVISIBLE and not _unseen(character) and marks <= MAX_MARKS:
            shown.append(character)
    return _readable(" ".join("".join(shown).split()), limit)


def quoted(text: str) -> str:
    """Return a name in typographic quotation marks, which it cannot close itself: its own become apostrophes."""
    return f"\u201c{text.translate(_QUOTES)}\u201d"


def _readable(line: str, limit: int) -> str:
    line = line if len(line) <= limit else line[: limit - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return line if any(unicodedata.category(character)[0] in "LNS" for character in line) else ""


def _unseen(character: str) -> bool:
    return character in _BLANK or any(first <= ord(character) <= last for first, last in _IGNORABLE)
