"""Globs over names: case-sensitive, `*` is any text without a slash. Pure; the time grows with the texts' lengths only."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class Globs:
    """Patterns that are asked often: plain names by one look-up, the others only of what begins as they do."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Sort the patterns."""
        given = tuple(patterns)
        self._names = frozenset(pattern for pattern in given if "*" not in pattern)
        self._patterns = tuple((pattern.partition("*")[0], pattern) for pattern in given if "*" in pattern)

    def any_match(self, values: Collection[str]) -> bool:
        """Tell whether one of the values is what one of the patterns describes."""
        if not self._names.isdisjoint(values):
            return True
        return any(
            value.startswith(begin) and match(pattern, value) for begin, pattern in self._patterns for value in values
        )


def any_match(patterns: Iterable[str], values: Collection[str]) -> bool:
    """Tell whether one of the values is what one of the patterns describes."""
    return Globs(patterns).any_match(values)


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
