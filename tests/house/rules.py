"""Which tests prove which security rule: read from the docstrings of the tests. `python -m tests.house.rules` rewrites the table.

A docstring names a rule by the word: "rule A1", "rules A1, B2 and C3", "rules G4 to G7". An id alone may be a row of another page.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "security_rules.toml"
PLACES = ("test_*.py", "contract_*.py")  # a contract's tests run in every adapter that imports them
ID = r"[A-G][1-9][0-9]?"
NAMED = re.compile(rf"\b[Rr]ules?\s+({ID}\b(?:(?:,|,?\s+and|\s+to)\s+{ID}\b)*)")
RANGE = re.compile(rf"({ID})(?:\s+to\s+({ID}))?")
REQUIRED = (
    *(f"A{n}" for n in range(1, 16)),
    *(f"B{n}" for n in range(1, 19)),
    *(f"C{n}" for n in range(1, 18)),
    *(f"D{n}" for n in range(1, 15)),
    *(f"E{n}" for n in (*range(1, 18), 22)),
    *(f"F{n}" for n in (1, 2, 3, 4, 5, 6, 8)),
    *(f"G{n}" for n in (*range(1, 10), *range(11, 17))),
)
LATER = {
    "E18": "client_credentials: not offered yet",
    "E19": "ID-JAG: not offered yet",
    "E20": "token exchange: not offered yet",
    "E21": "DPoP: not offered yet",
}


def named(docstring: str) -> list[str]:
    """Return the rules that a docstring names, each once, in order."""
    found = [pair for run in NAMED.findall(docstring) for pair in RANGE.findall(run)]
    return list(dict.fromkeys(rule for first, last in found for rule in _between(first, last or first)))


def _between(first: str, last: str) -> list[str]:
    return [f"{first[0]}{n}" for n in range(int(first[1:]), int(last[1:]) + 1)]


@cache
def proven() -> dict[str, list[str]]:
    """Return rule -> tests whose docstring names it, in the order of the files."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for place in PLACES for path in (ROOT / "tests").rglob(place)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for rule in named(ast.get_docstring(node) or ""):
                    found[rule].append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def render(found: dict[str, list[str]]) -> str:
    """Return the table as TOML."""
    lines = [
        "# Security rule -> tests that prove it. Rewritten by `python -m tests.house.rules`; a test checks it.",
        "[rules]",
    ]
    for rule in REQUIRED:
        tests = ", ".join(f'"{test}"' for test in found.get(rule, []))
        lines.append(f"{rule} = [{tests}]")
    lines += [
        "",
        "# Rules about what this version does not do.",
        "[later]",
        *(f'{k} = "{v}"' for k, v in LATER.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(render(proven()))
