"""The benchmark's own parts: its statistics, and a generator that counts right answers and nothing else."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from tests.load.drive import Operation, measure, repeat
from tests.load.figures import Sample, Target, cost_ratio, grown, rate_ratio, summarise
from tests.load.machine import cpu_seconds, resident
from tests.load.report import Figure, Line, table, text
from tests.load.wire import Connection, WrongAnswer

GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"active":true}'
REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
WORKERS = 4


def sample(rate: float, cost: float, *, elapsed: float = 2.0, client_busy: float = 0.1) -> Sample:
    operations = round(rate * elapsed)
    return Sample(
        operations=operations, elapsed=elapsed, server_cpu=cost * operations, client_cpu=client_busy * elapsed
    )


class Scripted:
    """A server of fixed answers, each in pieces; it counts the requests, and hangs up after an empty piece."""

    def __init__(self, answer: Callable[[int], tuple[bytes, ...]]) -> None:
        self.requests = 0
        self.port = 0
        self._answer = answer
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                for piece in self._answer(self.requests):
                    if piece:
                        writer.write(piece)
                        await writer.drain()
                        await asyncio.sleep(0)
                    else:
                        writer.close()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def ended(self) -> None:
        await asyncio.gather(*self._serving)


@asynccontextmanager
async def asking(answer: Callable[[int], tuple[bytes, ...]]) -> AsyncIterator[tuple[Scripted, Operation]]:
    """A server, and the operation that asks it for an active token."""
    server = Scripted(answer)
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    connections = [Connection(server.port) for _ in range(WORKERS)]

    async def step(worker: int) -> bool:
        (await connections[worker].get("/")).expect(200, b'"active":true')
        return True

    try:
        yield server, Operation(step)
    finally:
        for connection in connections:
            connection.close()
        listener.close()
        await listener.wait_closed()
        await server.ended()


def test_a_summary_is_the_median_of_rounds_and_the_sum_of_operations():
    summary = summarise([sample(100, 0.002), sample(300, 0.001), sample(9000, 0.009)])
    assert summary.rate == 300
    assert summary.cost == pytest.approx(0.002)
    assert summary.operations == 2 * (100 + 300 + 9000)
    assert summary.rounds == 3


def test_a_ratio_compares_neighbours_so_that_a_machine_that_slows_down_changes_nothing():
    ours = [sample(1000, 0.001), sample(500, 0.002), sample(100, 0.010)]
    theirs = [sample(2000, 0.0005), sample(1000, 0.001), sample(200, 0.005)]
    assert rate_ratio(ours, theirs) == pytest.approx(0.5)
    assert cost_ratio(ours, theirs) == pytest.approx(0.5)


def test_rounds_that_do_not_pair_are_not_compared():
    with pytest.raises(ValueError, match="zip"):
        rate_ratio([sample(1, 1)], [sample(1, 1), sample(1, 1)])


def test_a_generator_that_was_busier_than_the_server_is_noticed():
    assert summarise([sample(1000, 0.0005, client_busy=0.97)]).generator_bound
    assert not summarise([sample(1000, 0.00095, client_busy=0.97)]).generator_bound
    assert not summarise([sample(1000, 0.0005, client_busy=0.5)]).generator_bound


def test_growth_that_goes_on_is_taken_to_go_on_in_proportion():
    assert grown(100, 110, 120, done=1_000, to=100_000) == 20 + 10 * 99_000 / 500


def test_a_cache_that_filled_and_stayed_is_counted_once():
    assert grown(100, 108, 108, done=1_000, to=100_000) == 8
    assert grown(100, 108, 107, done=1_000, to=100_000) == 7


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (Target(0.6, 0.8), 0.59, "no"),
        (Target(0.6, 0.8), 0.6, "yes"),
        (Target(0.6, 0.8), 0.8, "aim"),
        (Target(120, 100, at_most=True), 121, "no"),
        (Target(120, 100, at_most=True), 110, "yes"),
        (Target(120, 100, at_most=True), 99, "aim"),
        (Target(2, at_most=True), 0.1, "yes"),
    ],
)
def test_a_target_is_missed_met_or_exceeded(target: Target, value: float, verdict: str):
    assert target.verdict(value) == verdict


def test_a_table_aligns_numbers_to_the_right():
    assert table([("name", "rate"), ("a", "1,000"), ("bb", "7")], right={1}) == "name   rate\na     1,000\nbb        7"


def test_this_process_has_a_clock_and_a_size():
    began = cpu_seconds(os.getpid())
    assert sum(range(100_000)) > 0
    assert cpu_seconds(os.getpid()) > began
    assert resident(os.getpid()) > 1_000_000


async def test_every_answer_is_counted_once():
    async with asking(lambda _: (GOOD,)) as (server, operation):
        measured = await measure(operation, pid=os.getpid(), workers=WORKERS, seconds=0.05)
    assert measured.operations == server.requests > WORKERS
    assert measured.elapsed >= 0.05


async def test_an_answer_in_pieces_is_one_answer():
    async with asking(lambda _: (GOOD[:20], GOOD[20:-4], GOOD[-4:])) as (server, operation):
        await repeat(operation, times=30, workers=WORKERS)
    assert server.requests == 30


async def test_work_is_repeated_exactly_as_often_as_asked():
    async with asking(lambda _: (GOOD,)) as (server, operation):
        await repeat(operation, times=101, workers=WORKERS)
    assert server.requests == 101


async def test_a_refusal_ends_the_run_instead_of_being_counted():
    async with asking(lambda n: (REFUSED if n == 20 else GOOD,)) as (server, operation):
        with pytest.raises(WrongAnswer, match="expected 200"):
            await measure(operation, pid=os.getpid(), workers=WORKERS, seconds=5)
    assert server.requests < 20 + 2 * WORKERS


async def test_a_success_that_says_the_wrong_thing_is_no_success():
    inactive = GOOD.replace(b"true}", b"null}")
    async with asking(lambda _: (inactive,)) as (_, operation):
        with pytest.raises(WrongAnswer, match='"active":true'):
            await measure(operation, pid=os.getpid(), workers=WORKERS, seconds=5)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "without a Content-Length"),
        (GOOD + GOOD, "more than one answer"),
        (GOOD[:-1], "closed the connection"),
        (b"", "closed the connection"),
    ],
)
async def test_an_answer_that_is_not_understood_ends_the_run(answer: bytes, complaint: str):
    async with asking(lambda _: (answer, b"")) as (_, operation):
        with pytest.raises(WrongAnswer, match=complaint):
            await measure(operation, pid=os.getpid(), workers=WORKERS, seconds=5)


async def test_a_connection_that_was_closed_while_idle_is_opened_anew():
    async with asking(lambda n: (GOOD, b"") if n == 1 else (GOOD,)) as (server, operation):
        await operation.step(0)
        await asyncio.sleep(0.02)
        await operation.step(0)
    assert server.requests == 2


async def test_a_round_ends_for_everybody_when_the_stock_is_used_up():
    stock = list(range(10))

    async def step(_: int) -> bool:
        await asyncio.sleep(0)
        return bool(stock) and stock.pop() >= 0

    measured = await measure(Operation(step), pid=os.getpid(), workers=WORKERS, seconds=5)
    assert measured.operations == 10
    assert measured.elapsed < 1


async def test_a_round_without_one_operation_is_an_error():
    async def step(_: int) -> bool:
        return False

    with pytest.raises(WrongAnswer, match="not one operation"):
        await measure(Operation(step), pid=os.getpid(), workers=WORKERS, seconds=1)


def test_a_report_says_where_the_generator_was_the_limit_and_where_a_server_waited():
    idle, busy = sample(1000, 0.0005, client_busy=0.97), sample(1000, 0.00095)
    line = Line(
        operation="refresh",
        peer="raw",
        ours=summarise([busy]),
        theirs=summarise([idle]),
        ratio=1.0,
        by_cpu=0.53,
        target=Target(0.6, 0.8),
    )
    report = text([line], [], ["a note"])
    assert line.met == "aim"
    assert "the generator was the limit in refresh: raw" in report
    assert "how busy they were: refresh: raw 50%" in report
    assert "refresh: ours 95%" not in report
    assert report.splitlines()[1].split()[:3] == ["refresh", "1,000", "950"]


def test_what_was_not_measured_says_why_and_meets_nothing():
    figure = Figure(name="slow disk", value=None, unit="ratio", target=Target(5), note="needs a C compiler (cc)")
    assert (figure.met, figure.as_json()["value"]) == ("", None)
    assert "not measured" in text([], [figure], [])
