"""Checkpoints beside the writer: the log is written back without a commit that waits for it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from broker.store.sqlite_checkpoint import Checkpoints, checkpoint
from broker.store.sqlite_file import connect_writer
from tests.broker.store.keeper import Keeper, event, race


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_writer(path)) as connection:
        connection.execute("create table note (text text)")
        yield connection


def without_log(path: Path) -> int:
    """Return how many notes the database file itself holds; -1 when it has no table yet."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy)) as connection:
        try:
            return int(connection.execute("select count(*) from note").fetchone()[0])
        except sqlite3.OperationalError:
            return -1


async def test_the_log_is_written_back_after_so_many_rows(path: Path, writer: sqlite3.Connection):
    """No earlier: most commits only append."""
    checkpoints = Checkpoints(path, every=3)
    for n in range(3):
        writer.execute("insert into note values ('x')")
        assert without_log(path) == -1
        checkpoints.count(1)
        assert n == 2 or checkpoints._running is None
    await checkpoints.stop()
    assert without_log(path) == 3


async def test_one_runs_at_a_time(path: Path, writer: sqlite3.Connection):
    """What comes meanwhile counts for the next one."""
    checkpoints = Checkpoints(path, every=1)
    checkpoints.count(1)
    running = checkpoints._running
    checkpoints.count(1)
    assert checkpoints._running is running
    await checkpoints.stop()
    checkpoints.count(1)
    assert checkpoints._running is not running
    await checkpoints.stop()


async def test_stopping_before_the_first_is_nothing(path: Path):
    """A store that was hardly used."""
    await Checkpoints(path).stop()


def test_after_a_checkpoint_the_log_starts_anew(path: Path, writer: sqlite3.Connection):
    """The file stays as large as its busiest moment, and no larger."""
    log = path.with_name("broker.db-wal")
    sizes = []
    for _ in range(4):
        for _ in range(20):
            writer.execute("insert into note values ('x')")
        checkpoint(path)
        sizes.append(log.stat().st_size)
    assert len(set(sizes)) == 1


def test_a_writer_at_work_is_not_waited_for_long(path: Path, writer: sqlite3.Connection):
    """The passive part is done; the rest is left to the next one."""
    writer.execute("insert into note values ('x')")
    writer.execute("begin immediate")
    checkpoint(path)
    assert without_log(path) == 1


def test_a_fault_is_left_to_the_writer(tmp_path: Path):
    """It meets the same fault in its next commit, and says so to whoever asked."""
    checkpoint(tmp_path / "nowhere" / "broker.db")
    assert list(tmp_path.iterdir()) == []


async def test_reading_and_writing_go_on_meanwhile(path: Path):
    """Nobody is refused because of it."""
    keeper = Keeper(f"sqlite:///{path}")
    store = await keeper.open()
    checkpoints = Checkpoints(path, every=1)
    for _ in range(5):
        checkpoints.count(1)
        await asyncio.gather(race(lambda n: store.append_events(event(f"event-{n}"))), race(lambda _: store.changes()))
    await checkpoints.stop()
    assert len(await store.read_events(limit=1000)) == 80
    await keeper.close()
