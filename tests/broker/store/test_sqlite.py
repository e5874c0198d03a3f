"""What only SQLite has: a file, its mode, one serving process, a disk that fills up."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from broker.store.base import StoreLocked, StoreMisconfigured, StoreUnavailable
from broker.store.migrate import pending
from broker.store.sqlite_file import connect_writer, make_private, require_sqlite, unavailable
from tests.broker.records import NOW
from tests.broker.store.keeper import Keeper, event, give_grant, race, stored
from tests.broker.store.test_contract_life import ROOT

SERVES = """
import asyncio, sys
from broker.clock import SystemClock
from broker.store.open import open_store

async def main():
    store = open_store(sys.argv[1], sink=print, clock=SystemClock(), serving=True)
    await store.open()
    print("serving", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


@pytest.fixture
async def files(path: Path) -> AsyncIterator[Keeper]:
    keeper = Keeper(f"sqlite:///{path}")
    yield keeper
    await keeper.close()


def spoil(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def size(path: Path) -> int:
    return path.stat().st_size


@contextmanager
def another_server(url: str) -> Iterator[None]:
    """Serve from another process, which is killed in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVES, url], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        yield
        process.kill()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def full_disk(at: int) -> Iterator[None]:
    """Let no file grow beyond `at` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_every_file_is_private(files: Keeper, path: Path):
    """Rule G11: 0600, whatever the umask; the log and its index as well."""
    before = os.umask(0)
    try:
        await give_grant(await files.open(serving=True))
    finally:
        os.umask(before)
    assert {file.name: mode(file) for file in path.parent.iterdir()} == {
        "broker.db": 0o600,
        "broker.db-wal": 0o600,
        "broker.db-shm": 0o600,
        "broker.db.lock": 0o600,
    }


async def test_after_a_clean_stop_everything_stands_in_the_file(files: Keeper, path: Path):
    """Faults survived: whoever moves the database of a stopped broker moves all of it."""
    store = await files.open(serving=True)
    handle = await give_grant(store)
    await stored(store)  # a reader of each kind is open
    assert await store.find_grant_by_handle(handle)
    await files.close()
    assert {file.name for file in path.parent.iterdir()} == {"broker.db", "broker.db.lock"}


async def test_a_file_that_others_could_read_is_taken_from_them(files: Keeper, path: Path):
    """Rule G11: a copy from a backup, for example."""
    os.close(os.open(path, os.O_CREAT, 0o644))
    assert mode(path) == 0o644
    await files.open()
    assert mode(path) == 0o600


async def test_a_symbolic_link_to_the_file_is_the_file(files: Keeper, path: Path, tmp_path: Path):
    """A second process on the same file is refused by whatever name; nothing is left beside the link (contract, section 8)."""
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(path)
    await files.open(serving=True)
    second = Keeper(f"sqlite:///{link}")
    with pytest.raises(StoreLocked, match=str(path)):
        await second.open(serving=True)
    await second.close()
    assert list(link.parent.iterdir()) == [link]


@pytest.mark.parametrize("serving", [True, False])
async def test_a_file_with_a_second_name_is_refused_with_the_command_that_finds_it(
    files: Keeper, path: Path, tmp_path: Path, *, serving: bool
):
    """A hard link gets past a lock that goes by the name, and would have a write-ahead log of its own."""
    await files.open()
    other = tmp_path / "elsewhere" / "hard.db"
    other.parent.mkdir()
    other.hardlink_to(path)
    second = Keeper(f"sqlite:///{other}")
    with pytest.raises(StoreMisconfigured, match=f"find / -xdev -samefile {other}"):
        await second.open(serving=serving)
    await second.close()
    with pytest.raises(StoreMisconfigured, match="hard link"):
        pending(f"sqlite:///{other}")
    assert list(other.parent.iterdir()) == [other]


def test_a_folder_in_place_of_the_file_keeps_its_mode(path: Path):
    """A mistyped URL must not take a folder such as /tmp from everybody."""
    path.mkdir(mode=0o755)
    with pytest.raises(StoreUnavailable, match="is a directory"):
        make_private(path)
    assert mode(path) == 0o755


async def test_commits_survive_a_power_cut(path: Path):
    """Architecture section 5: a write-ahead log, and `synchronous = full` (2)."""
    with closing(connect_writer(path)) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert connection.execute("pragma synchronous").fetchone() == (2,)


async def test_a_second_server_is_refused_with_a_sentence(files: Keeper, path: Path):
    """Architecture section 8: only a second `serve` is refused; commands work beside it."""
    with another_server(files.url):
        with pytest.raises(StoreLocked, match=r"already serves on .*broker\.db.*PostgreSQL"):
            await files.open(serving=True)
        await give_grant(await files.open(serving=False))
    assert await (await files.open(serving=True)).find_grant("grant-1")


async def test_a_closed_store_lets_another_serve(files: Keeper):
    """A restart does not wait for anything."""
    first = await files.open(serving=True)
    with pytest.raises(StoreLocked):
        await files.open(serving=True)
    await first.close()
    await files.open(serving=True)


async def test_a_start_that_fails_holds_no_lock(files: Keeper, path: Path):
    """The next attempt is told what is wrong, not that another broker serves."""
    spoil(path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="not a database"):
            await files.open(serving=True)
    path.unlink()  # noqa: ASYNC240 - a test may wait
    await files.open(serving=True)


@pytest.mark.parametrize("serving", [True, False])
async def test_a_folder_that_is_not_there_is_named(tmp_path: Path, *, serving: bool):
    """A typing error in the settings."""
    with pytest.raises(StoreUnavailable, match=r"nowhere/broker\.db"):
        await Keeper(f"sqlite:///{tmp_path}/nowhere/broker.db").open(serving=serving)


async def test_a_full_disk_refuses_writes_and_recovers_without_a_restart(files: Keeper, path: Path):
    """Faults survived: writes 503, reads go on, nothing is corrupted, nothing that failed was done."""
    store = await files.open()
    handle = await give_grant(store)
    wal = path.with_name("broker.db-wal")
    with full_disk(size(wal) + 512):
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=event("no"))
        grant = await store.find_grant_by_handle(handle)
        await store.check()
    assert grant is not None
    assert grant.generation == 1
    assert await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=event("yes"))
    assert await stored(store) == ["yes"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


async def test_a_disk_that_fills_up_under_a_group_fails_the_whole_group(files: Keeper, path: Path):
    """Nobody of a group is told that a commit happened which did not."""
    store = await files.open()
    await store.append_events(event("before"))
    with full_disk(size(path.with_name("broker.db-wal")) + 512):
        outcomes = await asyncio.gather(
            *(store.append_events(event(f"event-{n}")) for n in range(9)), return_exceptions=True
        )
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
    assert await stored(store) == ["before"] == [found.name for found in files.emitted]


async def test_reads_recover_from_a_fault_of_the_file(files: Keeper, path: Path):
    """A reader that met a fault starts anew."""
    store = await files.open()
    hidden = path.rename(path.with_name("hidden.db"))  # noqa: ASYNC240 - a test may wait
    with pytest.raises(StoreUnavailable):
        await store.find_grant("grant-1")
    hidden.rename(path)
    assert await store.find_grant("grant-1") is None


async def test_another_process_gets_its_turn_under_load(files: Keeper):
    """Architecture section 8: the writer lets others in between its commits."""
    busy, command = await files.open(), await files.open()
    handle = await give_grant(busy)
    stop = asyncio.Event()

    async def keep_writing(n: int) -> None:
        while not stop.is_set():
            await busy.append_events(event(f"busy-{n}"))

    writers = [asyncio.create_task(keep_writing(n)) for n in range(8)]
    async with asyncio.timeout(5):
        for generation in range(1, 6):
            assert await command.rotate_refresh_token(
                handle, generation, now=NOW, idle_expires_at=NOW + 9, events=event("command")
            )
    stop.set()
    await asyncio.gather(*writers)
    assert (await stored(busy)).count("command") == 5


async def test_writers_wait_for_another_processs_transaction(files: Keeper, path: Path):
    """A command that writes for a moment costs nobody an error."""
    store = await files.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        waiting = asyncio.gather(*(store.append_events(event(f"event-{n}")) for n in range(3)))
        await asyncio.sleep(0.03)
        assert not waiting.done()
        other.execute("rollback")
        await waiting
    assert len(await stored(store)) == 3


async def test_reads_do_not_wait_for_a_writer(files: Keeper, path: Path):
    """A write-ahead log: readers see the last commit."""
    store = await files.open()
    await give_grant(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        other.execute("update oauth_grant set revoked_at = 1")
        assert not await store.token_ended("jti", "grant-1", now=NOW)
        other.execute("rollback")


async def test_a_hundred_writers_share_commits(files: Keeper):
    """Every one of them is answered, and the file is sound."""
    store = await files.open()
    await race(lambda n: store.append_events(event(f"event-{n}")), 200)
    assert len(await stored(store)) == 200


def test_an_old_sqlite_is_named():
    """RHEL 9's, for example."""
    require_sqlite()
    with pytest.raises(StoreMisconfigured, match=r"3\.37 or newer is needed, this Python has 3\.34\.1"):
        require_sqlite((3, 34, 1))


def test_a_file_system_without_shared_memory_is_named(tmp_path: Path):
    """A write-ahead log needs one; SQLite answers with another mode instead of an error."""
    with pytest.raises(sqlite3.OperationalError, match="network file system"):
        connect_writer(Path(":memory:"))


def test_a_defect_is_not_an_outage():
    """A broken rule of ours must not hide behind a 503."""
    defect = sqlite3.IntegrityError("UNIQUE constraint failed")
    assert unavailable(defect) is defect
    assert isinstance(unavailable(sqlite3.OperationalError("disk I/O error")), StoreUnavailable)
    assert isinstance(unavailable(sqlite3.DatabaseError("database disk image is malformed")), StoreUnavailable)
