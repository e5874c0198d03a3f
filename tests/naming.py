"""Names for the examples of a parametrized test: the same in every process, so that tests can be spread over cores."""

from __future__ import annotations

import re
from typing import Any

_ADDRESS = re.compile(r"<object object at 0x[0-9a-f]+>")


def stable(value: Any) -> str:
    """Return a value's text without memory addresses, at most 40 characters long."""
    return _ADDRESS.sub("absent", str(value))[:40]
