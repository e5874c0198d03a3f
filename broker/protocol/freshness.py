"""How long an answer may be reused (RFC 9111 section 4.2), between bounds of our own. Pure; rule D9."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

SHORTEST, USUAL, LONGEST = 60, 300, 86400  # seconds
_DIRECTIVE = re.compile(r"[\s,]*([A-Za-z0-9_-]+)(?:\s*=\s*(?:\"([^\"]*)\"|([^\s,;\"]*)))?")
_AGE = re.compile(r"[0-9]{1,18}")


def lifetime(*, cache_control: str = "", age: str = "", expires: str = "", date: str = "") -> int:
    """Return for how many seconds to reuse an answer with these header values: at least 60, at most a day.

    `max-age` wins over `Expires`; `no-store`, `no-cache` and what cannot be read count as the least; silence as five minutes.
    """
    directives = {name.lower(): quoted or plain for name, quoted, plain in _DIRECTIVE.findall(cache_control)}
    if "no-store" in directives or "no-cache" in directives:
        return SHORTEST
    if "max-age" in directives:
        fresh = _seconds(directives["max-age"])
    elif expires:
        fresh = _between(date, expires)
    else:
        fresh = USUAL
    return max(SHORTEST, min(fresh - _seconds(age), LONGEST))


def _seconds(text: str) -> int:
    return int(text) if _AGE.fullmatch(text) else 0


def _between(date: str, expires: str) -> int:
    try:
        return int((parsedate_to_datetime(expires) - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # unreadable, or only one of them with a zone
        return 0
