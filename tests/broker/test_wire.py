"""What is no HTTP: answered as ours, logged without a byte of it, and never a flood (security rules G7, G8)."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from broker.audit import Audit
from broker.clock import SystemEntropy
from broker.wire import Refused, ServerLog
from tests.broker.harness import FakeClock


def refusing(level: str = "info") -> tuple[Refused, FakeClock, list[str]]:
    clock, lines = FakeClock(), list[str]()
    audit = Audit(clock, write=lines.append, level=level)
    return (
        Refused(audit, clock=clock, entropy=SystemEntropy(), headers=[(b"x-content-type-options", b"nosniff")]),
        clock,
        lines,
    )


def test_the_answer_carries_our_headers_and_the_id_of_its_line():
    """Security rule G8; the id is in the log."""
    refused, _, lines = refusing()
    head, _, body = refused.answer().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"x-content-type-options: nosniff" in head
    assert f"x-request-id: {json.loads(lines[0])['refused_id']}".encode() in head
    assert f"content-length: {len(body)}".encode() in head


def test_a_stranger_who_sends_rubbish_without_end_gets_one_line_a_second():
    refused, clock, lines = refusing()
    for _ in range(100):
        refused.answer()
    clock.forward(1)
    refused.answer()

    assert [json.loads(line).get("left_out") for line in lines] == [None, 99]
    assert {json.loads(line)["event"] for line in lines} == {"http.refused"}


def test_at_level_debug_every_one_is_there():
    refused, _, lines = refusing("debug")
    for _ in range(3):
        refused.answer()

    assert len(lines) == 3


def test_what_the_server_says_is_a_line_of_ours_without_what_it_is_about():
    """Security rule G7: the words are fixed; their arguments may be anybody's."""
    lines: list[str] = []
    log = ServerLog(Audit(FakeClock(), write=lines.append))
    for message, argument in (("Odd %s\n", "evil"), ("Invalid HTTP request received.", None)):
        arguments = (argument,) if argument else ()
        log.handle(logging.LogRecord("uvicorn.error", logging.WARNING, "x", 1, message, arguments, None))
    log.handle(logging.LogRecord("uvicorn.error", logging.ERROR, "x", 1, OSError("evil"), (), None))

    assert [(json.loads(line)["event"], json.loads(line)["words"]) for line in lines] == [
        ("http.server", "Odd %s"),
        ("http.server", "OSError"),
    ]


class Cursed:
    """Its finalizer fails, with words that hold a secret."""

    def __del__(self) -> None:
        raise OSError("evil")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Our log in the place of every other, for one test; what it wrote."""
    lines: list[str] = []
    for logger in (logging.getLogger(), logging.getLogger("uvicorn")):
        monkeypatch.setattr(logger, "handlers", logger.handlers)
        monkeypatch.setattr(logger, "propagate", logger.propagate)
    for module, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, hook, getattr(module, hook))
    ServerLog(Audit(FakeClock(), write=lines.append)).install()
    yield lines
    logging.captureWarnings(capture=False)


def test_what_no_task_caught_is_a_line_without_what_it_held(installed: list[str], capfd: pytest.CaptureFixture[str]):
    """Security rules B12, G13: asyncio would write a traceback, and an exception's words may be anybody's."""

    async def fails() -> None:
        raise OSError("evil")

    async def forgets() -> None:
        await asyncio.wait([asyncio.create_task(fails())])
        gc.collect()

    asyncio.run(forgets())
    [line] = map(json.loads, installed)
    assert (line["event"], line["logger"], line["kind"], line["level"]) == (
        "library.said",
        "asyncio",
        "OSError",
        "error",
    )
    assert line["place"].startswith("test_wire.py:")
    assert "evil" not in "".join(installed) + "".join(capfd.readouterr())


def test_what_threads_finalizers_and_the_program_itself_do_not_catch_is_one_as_well(
    installed: list[str], capfd: pytest.CaptureFixture[str]
):
    """Security rules B12, G13."""

    def fails() -> None:
        raise OSError("evil")

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    Cursed()
    gc.collect()
    try:
        fails()
    except OSError as error:
        sys.excepthook(OSError, error, error.__traceback__)
    made = [json.loads(line) for line in installed]
    assert [(line["event"], line["kind"]) for line in made] == [("process.failed", "OSError")] * 3
    assert "evil" not in "".join(installed) + "".join(capfd.readouterr())


def test_other_libraries_are_heard_but_not_quoted(installed: list[str], capfd: pytest.CaptureFixture[str]):
    """Security rule B12: a driver's words name hosts and users, a client's hold what a provider answered."""
    logging.getLogger("psycopg.pool").warning("error connecting: %s", "evil")
    logging.getLogger("httpx2").info("evil")
    logging.getLogger("httpcore2").error("evil", exc_info=OSError("evil"))  # which nobody raised
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("evil", stacklevel=1)
    said = [json.loads(line) for line in installed]
    assert [line["logger"] for line in said] == ["psycopg.pool", "httpcore2", "py.warnings"]
    assert (said[1]["kind"], said[1]["place"]) == ("OSError", "unknown")
    assert "evil" not in "".join(installed) + "".join(capfd.readouterr())
