"""What is no HTTP: answered as ours, logged without a byte of it, and never a flood (security rules G7, G8)."""

from __future__ import annotations

import json
import logging

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
