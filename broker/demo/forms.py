"""The one form of a page, as a browser without script sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(slots=True)
class Form:
    """A form: where it goes, its hidden fields, its submit buttons."""

    action: str = ""
    hidden: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.form: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and self.form is None:
            self.form = Form(action=given.get("action", ""))
        elif self.form is not None and tag == "input" and given.get("type") == "hidden":
            self.form.hidden[given.get("name", "")] = given.get("value", "")
        elif self.form is not None and tag == "button":
            self.form.buttons.append((given.get("name", ""), given.get("value", "")))


def find_form(html: str) -> Form | None:
    """Return the first form of a page, or None."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.form
