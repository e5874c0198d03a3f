"""The writer that groups commits: what one unit does to its group, and what other processes do to both."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from broker.model import AuditEvent, Events
from broker.store.base import StoreUnavailable
from broker.store.sqlite_file import connect_reader, connect_writer
from broker.store.sqlite_writer import GROUP, Work, Writer
from tests.broker.store.keeper import event, unheard


class Commits:
    """A connection's history: the statements that it ran."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[str] = []

    def connect(self) -> sqlite3.Connection:
        connection = connect_writer(self.path)
        connection.set_trace_callback(self.seen.append)
        return connection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "writer.db"
    with closing(connect_writer(path)) as connection:
        connection.execute("create table note (text text not null unique) strict")
    return path


@pytest.fixture
def commits(path: Path) -> Commits:
    return Commits(path)


@pytest.fixture
async def writers() -> AsyncIterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def make(*args: Any, **options: Any) -> Writer:
        made.append(Writer(*args, **options))
        return made[-1]

    yield make
    for writer in made:
        await writer.close()


def note(text: object, *events: AuditEvent) -> Work:
    def work(connection: sqlite3.Connection) -> tuple[object, Events]:
        connection.execute("insert into note values (?)", (text,))
        return text, events

    return work


def notes(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [text for (text,) in connection.execute("select text from note order by rowid")]


async def test_units_that_wait_together_are_committed_together(
    commits: Commits, path: Path, writers: Callable[..., Writer]
):
    """Architecture section 5: one `fsync` serves many."""
    writer = writers(commits.connect, unheard)
    assert await asyncio.gather(*(writer.submit(note(str(n))) for n in range(9))) == [str(n) for n in range(9)]
    assert commits.seen.count("commit") == 1
    assert notes(path) == [str(n) for n in range(9)]


async def test_a_group_is_bounded(commits: Commits, writers: Callable[..., Writer]):
    """Other processes get their turn."""
    writer = writers(commits.connect, unheard)
    await asyncio.gather(*(writer.submit(note(str(n))) for n in range(GROUP * 2 + 1)))
    assert commits.seen.count("commit") == 3


async def test_a_result_is_given_after_the_commit(path: Path, writers: Callable[..., Writer]):
    """Faults survived: what was acknowledged is stored."""
    writer = writers(partial(connect_writer, path), unheard)
    text = await writer.submit(note("first"))
    assert notes(path) == [text]


@pytest.mark.parametrize(
    "spoiler",
    [note("twice"), note(b"x"), note(2**70), note("\ud800"), note(object())],
    ids=["conflict", "wrong type", "too large", "not unicode", "no value"],
)
async def test_a_unit_that_fails_spoils_no_other(path: Path, spoiler: Work, writers: Callable[..., Writer]):
    """A defect in one request is that request's alone, and leaves nothing behind."""
    writer = writers(partial(connect_writer, path), unheard)

    def half(connection: sqlite3.Connection) -> tuple[object, Events]:
        connection.execute("insert into note values ('half')")
        return spoiler(connection)

    outcomes = await asyncio.gather(
        writer.submit(note("twice")), writer.submit(half), writer.submit(note("after")), return_exceptions=True
    )
    assert outcomes[0] == "twice"
    assert isinstance(outcomes[1], Exception)
    assert not isinstance(outcomes[1], StoreUnavailable)
    assert outcomes[2] == "after"
    assert notes(path) == ["twice", "after"]


async def test_events_follow_the_commit_and_only_of_units_that_succeeded(path: Path, writers: Callable[..., Writer]):
    """The log says nothing that is not stored."""
    sunk: list[str] = []
    stored: list[list[str]] = []

    def sink(events: Events) -> None:
        sunk.extend(found.name for found in events)
        stored.append(notes(path))

    writer = writers(partial(connect_writer, path), sink)
    await asyncio.gather(
        writer.submit(note("a", *event("a"))),
        writer.submit(note("a", *event("again"))),
        writer.submit(note("b", *event("b"))),
        return_exceptions=True,
    )
    assert sunk == ["a", "b"]
    assert stored == [["a", "b"]]


async def test_a_sink_that_fails_stops_nobody(path: Path, writers: Callable[..., Writer]):
    """Standard output may be gone; the change is made all the same, and the next one too."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def sink(events: Events) -> None:
        raise OSError("broken pipe")

    writer = writers(partial(connect_writer, path), sink)
    assert await writer.submit(note("a", *event("a"))) == "a"
    assert await writer.submit(note("b", *event("b"))) == "b"
    assert notes(path) == ["a", "b"]
    assert [str(context["exception"]) for context in told] == ["broken pipe", "broken pipe"]


async def test_a_cold_unit_runs_alone_and_in_its_turn(commits: Commits, path: Path, writers: Callable[..., Writer]):
    """A sweep holds up no event loop and shares no commit."""
    writer = writers(commits.connect, unheard)
    await asyncio.gather(
        *(writer.submit(note(text), cold=text.startswith("cold")) for text in ("a", "b", "cold", "colder", "c"))
    )
    assert notes(path) == ["a", "b", "cold", "colder", "c"]
    assert commits.seen.count("commit") == 4


async def test_a_lock_that_lasts_fails_everybody_who_waits(path: Path, writers: Callable[..., Writer]):
    """An answer within five seconds: nobody queues behind a process that hangs; afterwards all is well."""
    writer = writers(partial(connect_writer, path), unheard, patience=0.02)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        first = writer.submit(note("first"))
        await asyncio.sleep(0)
        later = [writer.submit(note("later")), writer.submit(note("cold"), cold=True)]
        outcomes = await asyncio.gather(first, *later, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        behind_a_sweep = [writer.submit(note("cold"), cold=True), writer.submit(note("hot"))]
        outcomes = await asyncio.gather(*behind_a_sweep, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        other.execute("rollback")
    assert await writer.submit(note("after")) == "after"
    assert notes(path) == ["after"]


async def test_a_transaction_that_sqlite_gave_up_is_nobodys_success(path: Path, writers: Callable[..., Writer]):
    """Disk full in the middle: what ran before in the same group is undone too, so it is not acknowledged."""
    writer = writers(partial(connect_writer, path), unheard)

    def fills_the_disk(connection: sqlite3.Connection) -> tuple[object, Events]:
        connection.execute("rollback")  # what SQLite does by itself on SQLITE_FULL and SQLITE_IOERR
        raise sqlite3.OperationalError("database or disk is full")

    for cold in (False, True):
        outcomes = await asyncio.gather(
            writer.submit(note("before"), cold=cold),
            writer.submit(fills_the_disk, cold=cold),
            writer.submit(note("behind"), cold=cold),
            return_exceptions=True,
        )
        assert isinstance(outcomes[1], StoreUnavailable)
        if not cold:
            assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
            assert notes(path) == []
    assert notes(path) == ["before", "behind"]


async def test_the_next_group_starts_on_a_new_connection_after_a_fault(path: Path, writers: Callable[..., Writer]):
    """Recovery without a restart; while connecting fails, so does every write."""
    broken = False
    made: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        if broken:
            raise sqlite3.OperationalError("unable to open database file")
        made.append(connect_writer(path))
        return made[-1]

    writer = writers(connect, unheard)
    made[0].close()
    broken = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await writer.submit(note("refused"))
    broken = False
    assert await writer.submit(note("again")) == "again"
    assert len(made) == 2


async def test_a_file_that_may_only_be_read_is_an_outage_until_it_may_be_written(
    path: Path, writers: Callable[..., Writer]
):
    """Faults survived: read-only, and back without a restart."""
    connections = [connect_reader(path), connect_writer(path)]
    writer = writers(partial(connections.pop, 0), unheard)
    with pytest.raises(StoreUnavailable, match="readonly"):
        await writer.submit(note("refused"))
    assert await writer.submit(note("again")) == "again"


async def test_a_connection_that_cannot_begin_is_replaced(path: Path, writers: Callable[..., Writer]):
    """Whatever state a fault left it in."""
    stuck = connect_writer(path)
    connections = [stuck, connect_writer(path)]
    writer = writers(partial(connections.pop, 0), unheard)
    stuck.execute("begin")
    with pytest.raises(StoreUnavailable, match="within a transaction"):
        await writer.submit(note("refused"))
    assert await writer.submit(note("again")) == "again"


async def test_whoever_stops_waiting_stops_nothing(path: Path, writers: Callable[..., Writer]):
    """The change is made; its event is told."""
    sunk: list[str] = []
    writer = writers(partial(connect_writer, path), lambda events: sunk.extend(found.name for found in events))
    future = writer.submit(note("gone", *event("gone")))
    future.cancel()
    await writer.submit(note("next"))
    assert notes(path) == ["gone", "next"]
    assert sunk == ["gone"]


async def test_a_closed_writer_accepts_nothing(path: Path):
    """And closing waits for what it accepted."""
    writer = Writer(partial(connect_writer, path), unheard)
    accepted = writer.submit(note("accepted"))
    await writer.close()
    assert await accepted == "accepted"
    with pytest.raises(StoreUnavailable):
        writer.submit(note("late"))


def test_a_loop_that_ends_without_closing_leaves_no_thread_in_trouble(path: Path):
    """A command that dies of an exception: its last commit stands, and nobody is told."""
    made: list[Writer] = []

    async def die() -> None:
        made.append(Writer(partial(connect_writer, path), unheard))
        made[0].submit(note("last"))
        await asyncio.sleep(0)

    with asyncio.Runner() as runner:
        runner.run(die())
    made[0]._jobs.put(None)
    made[0]._thread.join()
    made[0]._disconnect()
    assert notes(path) == ["last"]
