"""Who sits before the browser in the demo: the script's own person, who presses buttons by HTTP, or the real one."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2

from broker.demo.forms import Form, find_form
from broker.demo.trace import Trace

MOST_PAGES = 12  # of one sign-in


class DemoFailed(Exception):
    """Why the run cannot go on, in a sentence."""


class ScriptedPerson:
    """A browser with cookies and without script. At the broker it allows, at the identity provider it picks `account`."""

    def __init__(self, trace: Trace, *, account: str, callback: str) -> None:
        """Show every answer to the trace; the sign-in ends when `callback` was visited."""
        self._account = account
        self._callback = callback
        self._http = httpx2.AsyncClient(trust_env=False, event_hooks={"response": [trace.observe]})

    async def open(self, url: str) -> None:
        """Open a URL and do what its pages ask until the client has its answer; raises DemoFailed."""
        request = self._http.build_request("GET", url)
        for _ in range(MOST_PAGES):
            answer = await self._http.send(request)
            if url_without_query(request.url) == self._callback:
                return
            request = answer.next_request or self._press(answer)
        raise DemoFailed("the sign-in went in circles")

    async def aclose(self) -> None:
        """Close the browser."""
        await self._http.aclose()

    def _press(self, answer: httpx2.Response) -> httpx2.Request:
        form = find_form(answer.text) if answer.is_success else None
        button = self._button(form) if form else None
        if form is None or button is None:
            raise DemoFailed(f"{url_without_query(answer.request.url)} answered {answer.status_code} without a way on")
        name, value = button
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(str(answer.request.url)))
        return self._http.build_request(
            "POST",
            answer.request.url.join(form.action),
            data={**form.hidden, name: value},
            headers={"Origin": origin, "Sec-Fetch-Site": "same-origin"},
        )

    def _button(self, form: Form) -> tuple[str, str] | None:
        wanted: list[Callable[[str, str], bool]] = [
            lambda name, value: (name, value) == ("decision", "allow"),
            lambda name, _: name == "provider",
            lambda name, value: (name, value) == ("person", self._account),
        ]
        return next((button for is_it in wanted for button in form.buttons if is_it(*button)), None)


class RealPerson:
    """Somebody at the terminal, who opens the URL in a browser of their own."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` prints a line."""
        self._tell = tell

    async def open(self, url: str) -> None:
        """Ask for the URL to be opened; the answer comes to the callback."""
        self._tell("\n Open this address in your browser and sign in:\n")
        self._tell(f" {url}\n")

    async def aclose(self) -> None:
        """Nothing is open here."""


def url_without_query(url: httpx2.URL) -> str:
    """Return a URL as the terminal may show it: codes and states are in the query."""
    return str(url.copy_with(query=None, fragment=None))
