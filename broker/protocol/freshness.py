"""How long an answer may be reused (RFC 9111 section 4.2), between bounds of our own. Pure; rule D9."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

SHORTEST, USUAL, LONGEST = 60, 300, 86400  # seconds
MAX_VALUE = 1000  # characters of one header's value; nobody who means well needs more
_AGE = re.compile(r"[0-9]{1,18}")


def lifetime(*, cache_control: str = "", age: str = "", expires: str = "", date: str = "") -> int:
    """Return for how many seconds to reuse an answer with these header values: at least 60, at most a day.

    `max-age` wins over `Expires`; `no-store`, `no-cache` and what cannot be read count as the least; silence as five minutes.
    """
    # A stranger chose these texts: they are read in one pass each, and not at all when they are long (rule G14).
    if any(len(value) > MAX_VALUE for value in (cache_control, age, expires, date)):
        return SHORTEST
    directives = dict(map(_directive, cache_control.split(",")))
    if "no-store" in directives or "no-cache" in directives:
        return SHORTEST
    if "max-age" in directives:
        fresh = _seconds(directives["max-age"])
    elif expires:
        fresh = _between(date, expires)
    else:
        fresh = USUAL
    return max(SHORTEST, min(fresh - _seconds(age), LONGEST))


def _directive(text: str) -> tuple[str, str]:
    """Return name and value; a comma within quotes only makes directives that mean nothing, or less than was said."""
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _seconds(text: str) -> int:
    return int(text) if _AGE.fullmatch(text) else 0


def _between(date: str, expires: str) -> int:
    try:
        return int((parsedate_to_datetime(expires) - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # unreadable, or only one of them with a zone
        return 0
