"""A list in one setting: a JSON array of texts, or texts with commas between. Pure."""

from __future__ import annotations

import json


def parse_list(text: str) -> tuple[str, ...]:
    """Return the entries without repeats and without the blanks around them; raises ValueError for none or an empty one."""
    values = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
    if (
        not isinstance(values, list)
        or not values
        or not all(isinstance(value, str) and value.strip() for value in values)
    ):
        raise ValueError("not a list of texts")
    return tuple(dict.fromkeys(value.strip() for value in values))
