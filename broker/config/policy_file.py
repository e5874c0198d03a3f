"""Policy rules in a file of their own: a JSON list, or TOML with [[policy]] tables. It holds no secret."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from broker.config.faults import Wrong

LARGEST = 4 * 1024 * 1024  # bytes; nobody writes more rules
_MEND = "write a JSON list of rules, or [[policy]] tables in TOML"


def named_file(value: Any) -> str | None:
    """Return the file that the value of the setting names (`file:/path`), None when it is the rules themselves."""
    if not isinstance(value, str) or not value.strip().startswith("file:"):
        return None
    return value.strip().removeprefix("file:").removeprefix("//")


def read_policy_file(path: Path) -> Any:
    """Return the rules as the file writes them: text that is to be JSON, or a list; raises Wrong."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        text = raw.decode("utf-8")
    except (OSError, ValueError) as fault:  # ValueError: not UTF-8, or a path that no file can have
        why = fault.strerror if isinstance(fault, OSError) else "not text in UTF-8"
        raise Wrong(f"names the file {path}, which cannot be read ({why})", "mount a readable file") from None
    if len(raw) > LARGEST:
        raise Wrong(f"names the file {path}, which is larger than {LARGEST} bytes", _MEND)
    begin = text.lstrip()
    if begin.startswith("[") and not begin.startswith("[["):
        return text
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError):
        raise Wrong(f"names the file {path}, which is neither JSON nor TOML", _MEND) from None
    if set(document) != {"policy"}:
        raise Wrong(f"names the file {path}, which holds something else than policy, or nothing", _MEND)
    return document["policy"]
