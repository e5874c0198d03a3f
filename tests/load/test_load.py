"""The benchmark's own parts: its statistics, and a generator that counts right answers and nothing else."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from broker.store.migrate import migrate
from tests.house.test_layers import ROOT
from tests.load import goals
from tests.load.drive import Cell, Operation, measure, repeat
from tests.load.figures import Sample, Target, cost_ratio, grown, percentile, rate_ratio, summarise
from tests.load.goals import GOALS, Goal
from tests.load.machine import children, cpu_seconds, resident
from tests.load.million import FILLED, fill
from tests.load.parts import PARTS
from tests.load.plan import COMPARED, GROUPED, IN_PLACE, OURS, Compared
from tests.load.report import Figure, Line, compare, table, text
from tests.load.scoreboard import scoreboard, scores
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
        measured = await measure(operation, pids=[os.getpid()], workers=WORKERS, seconds=0.05)
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
            await measure(operation, pids=[os.getpid()], workers=WORKERS, seconds=5)
    assert server.requests < 20 + 2 * WORKERS


async def test_a_success_that_says_the_wrong_thing_is_no_success():
    inactive = GOOD.replace(b"true}", b"null}")
    async with asking(lambda _: (inactive,)) as (_, operation):
        with pytest.raises(WrongAnswer, match='"active":true'):
            await measure(operation, pids=[os.getpid()], workers=WORKERS, seconds=5)


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
            await measure(operation, pids=[os.getpid()], workers=WORKERS, seconds=5)


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

    measured = await measure(Operation(step), pids=[os.getpid()], workers=WORKERS, seconds=5)
    assert measured.operations == 10
    assert measured.elapsed < 1


async def test_a_round_without_one_operation_is_an_error():
    async def step(_: int) -> bool:
        return False

    with pytest.raises(WrongAnswer, match="not one operation"):
        await measure(Operation(step), pids=[os.getpid()], workers=WORKERS, seconds=1)


def test_a_report_says_where_the_generator_was_the_limit_and_where_a_server_waited():
    idle, busy = sample(1000, 0.0005, client_busy=0.97), sample(1000, 0.00095)
    line = Line(
        operation="refresh",
        peer="raw",
        ours=summarise([busy]),
        theirs=summarise([idle]),
        ratio=1.0,
        by_cpu=0.53,
        goal=goals.REFRESH_LIMIT,
    )
    report = text([line], [], ["a note"])
    assert line.met == "no", "a goal is judged by CPU time"
    assert "the generator was the limit in refresh: raw" in report
    assert "how busy they were: refresh: raw 50%" in report
    assert "refresh: ours 95%" not in report
    assert report.splitlines()[1].split()[:3] == ["refresh", "1,000", "950"]


def test_what_was_not_measured_says_why_and_meets_nothing():
    figure = Figure(name="slow disk", value=None, unit="ratio", goal=goals.SLOW_DISK, note="needs a C compiler (cc)")
    assert (figure.met, figure.as_json()["value"]) == ("", None)
    assert "not measured" in text([], [figure], [])


def line(goal: Goal | None, *, ratio: float, by_cpu: float) -> Line:
    some = summarise([sample(1000, 0.001)])
    return Line(operation="refresh", peer="raw", ours=some, theirs=some, ratio=ratio, by_cpu=by_cpu, goal=goal)


def asked_for() -> dict[str, list[float]]:
    """Return the rows of the table "What to reach", and the numbers of each."""
    page = (ROOT.parent / "shared" / "performance.md").read_text().partition("## What to reach")[2]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in page.splitlines() if row.startswith("| ")]
    return {cells[0]: numbers(" ".join(cells[:2] if "aim" in cells[0] else cells[1:2])) for cells in rows if cells[0]}


def numbers(text: str) -> list[float]:
    return sorted(float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", text))


@pytest.mark.skipif(not (ROOT.parent / "shared" / "performance.md").exists(), reason="needs the project's shared pages")
def test_every_row_of_the_projects_table_is_a_goal_with_its_numbers():
    for row, wanted in asked_for().items():
        of_row = [goal.target for goal in GOALS if goal.row == row]
        have = {n for target in of_row for n in (target.bound, target.aim) if n is not None}
        assert of_row, row
        assert have <= set(wanted), row
        assert set(wanted) - have <= {100_000.0}, row  # memory grows per 100,000 of something
    assert {goal.row for goal in GOALS} == set(asked_for())


def test_every_goal_is_measured_by_the_part_that_it_names():
    measured = {goal: part.name for part in PARTS for goal in part.goals}
    measured |= {goal: c.name for c in COMPARED for goal in c.peers.values() if goal is not None}
    assert measured == {goal: goal.part for goal in GOALS}


def test_the_last_table_has_every_goal_and_says_of_each_whether_it_is_met():
    compared = [line(None, ratio=9, by_cpu=9), line(goals.REFRESH_LIMIT, ratio=0.5, by_cpu=0.61)]
    figures = [
        Figure(name="idle", value=130.0, unit="MB", goal=goals.IDLE),
        Figure(name="workers", value=1.7, by_rate=1.04, unit="ratio", goal=goals.TWO_WORKERS),
        Figure(name="slow disk", value=None, unit="ratio", goal=goals.SLOW_DISK, note="needs a C compiler (cc)"),
        Figure(name="start, again", value=9.0, unit="s"),
    ]
    made = {score.goal: score for score in scores(compared, figures, {goals.LOGIN_FASTMCP.of: "FastMCP is missing"})}
    assert list(made) == list(GOALS)
    assert (made[goals.REFRESH_LIMIT].met, made[goals.REFRESH_LIMIT].value) == ("yes", 0.61)
    assert made[goals.IDLE].met == "no"
    assert made[goals.LOGIN_FASTMCP].row()[-1] == "not measured: FastMCP is missing"
    assert made[goals.SLOW_DISK].row()[-1] == "not measured: needs a C compiler (cc)"
    assert made[goals.START].row()[-1] == "not measured: not asked for (--only start)"
    board = scoreboard(list(made.values()))
    assert f"2 met, 1 missed, {len(GOALS) - 3} not measured, of {len(GOALS)}" in board
    assert re.search(r"two workers on PostgreSQL +one worker +1.7 +CPU +1.04 +>= 1.6 +yes", board)


def test_the_limit_that_a_goal_means_is_the_cheaper_one():
    compared = Compared("refresh", "refresh", {GROUPED: goals.REFRESH_LIMIT, IN_PLACE: goals.REFRESH_LIMIT})
    cells = {OURS: [sample(700, 0.001)], GROUPED: [sample(900, 0.0008)], IN_PLACE: [sample(500, 0.0006)]}
    judged = {made.peer: made for made in compare(compared, cells) if made.goal is not None}
    assert list(judged) == [IN_PLACE]
    assert judged[IN_PLACE].by_cpu == pytest.approx(0.6)
    assert judged[IN_PLACE].met == "yes"


def test_the_slowest_of_a_hundred_is_the_99th_percentile():
    assert percentile([*range(1, 101)], 99) == 99
    assert percentile([3, 1, 2], 99) == 3
    assert percentile([7], 99) == 7


def test_children_of_a_process_are_found():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in children(os.getpid())
    finally:
        child.communicate(b"\n")
    assert child.pid not in children(os.getpid())


async def test_what_all_processes_of_a_server_computed_is_the_cost():
    async with asking(lambda _: (GOOD,)) as (_, operation):
        one = await measure(operation, pids=[os.getpid()], workers=WORKERS, seconds=0.1)
        twice = await measure(operation, pids=[os.getpid()] * 2, workers=WORKERS, seconds=0.1)
    assert one.server_cpu == pytest.approx(one.client_cpu, rel=0.2)
    assert twice.server_cpu == pytest.approx(2 * twice.client_cpu, rel=0.2)


async def test_a_stock_that_takes_long_to_make_is_limited_and_its_short_round_counts():
    stocked: list[int] = []
    left: list[int] = []

    async def stock(wanted: int) -> None:
        stocked.append(wanted)
        left.extend(range(wanted))

    async def step(_: int) -> bool:
        await asyncio.sleep(0)
        return bool(left) and left.pop() >= 0

    cell = Cell(Operation(step, stock), pids=[os.getpid()], workers=WORKERS, most=8)
    await cell.warm_up(1, stock=500)
    await cell.round(5)
    assert stocked == [8, 8]
    assert [made.operations for made in cell.samples] == [8]


def test_a_full_store_has_the_live_grants_among_copies_with_ids_of_their_own(tmp_path: Path):
    path = tmp_path / "full.db"
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        for table in FILLED:
            columns = connection.execute(f"pragma table_info({table})").fetchall()
            for number in range(4 if table == "oauth_grant" else 1):
                row = [f"live-{number}".encode() if c[2].lower() == "blob" else f"{number}" for c in columns]
                connection.execute(f"insert into {table} values ({','.join('?' * len(row))})", row)  # noqa: S608 - names of ours
        connection.commit()
    fill(path, 1_000)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("select handle, upstream_session_id from oauth_grant order by rowid").fetchall()
        tied = connection.execute("select count(*) from oauth_grant join upstream_session using (upstream_session_id)")
        assert len(rows) == len({handle for handle, _ in rows}) == 1_004
        assert [n for n, (handle, _) in enumerate(rows) if len(handle) == 1] == [250, 501, 752, 1003]
        assert tied.fetchone()[0] == 1_001
