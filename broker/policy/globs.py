"""Globs over names: case-sensitive, `*` is any text without a slash. Pure; the time grows with the texts' lengths only."""

from __future__ import annotations

from collections.abc import Iterable


def any_match(patterns: Iterable[str], values: Iterable[str]) -> bool:
    """Tell whether one of the values is what one of the patterns describes."""
    held = tuple(values)
    return any(match(pattern, value) for pattern in patterns for value in held)


def match(pattern: str, value: str) -> bool:
    """Tell whether the whole value is what the pattern describes."""
    if "*" not in pattern:
        return pattern == value
    patterns, values = pattern.split("/"), value.split("/")
    return len(patterns) == len(values) and all(map(_segment, patterns, values))


def _segment(pattern: str, value: str) -> bool:
    """Match between two slashes: the first place where a piece fits is as good as any later one."""
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == value
    last = middle.pop()
    at, end = len(first), len(value) - len(last)
    if at > end or not (value.startswith(first) and value.endswith(last)):
        return False
    for piece in middle:
        found = value.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
