"""What only PostgreSQL has: a server that goes away, hangs, changes its mind, or picks a victim."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from broker.store.base import StoreUnavailable
from broker.store.database import Change, Query
from broker.store.postgres import PostgresDatabase
from broker.store.postgres_connection import parameters
from broker.store.postgres_pool import Pool
from tests.broker.records import NOW
from tests.broker.store.keeper import Keeper, event, give_grant, race, stored, unheard
from tests.postgres import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.database()


@pytest.fixture
async def keeper(url: str) -> AsyncIterator[Keeper]:
    keeper = Keeper(url)
    yield keeper
    await keeper.close()


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(url, sink=unheard)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def admin(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


async def test_an_outage_is_said_and_its_end_is_noticed_at_once(keeper: Keeper, postgres: PostgresServer):
    """Faults survived: 503 while the database is gone, service again at the first call after its return."""
    store = await keeper.open()
    handle = await give_grant(store)
    await race(lambda _: store.find_grant("grant-1"))  # connections that will be dead
    postgres.stop(signal.SIGQUIT)
    try:
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=event("no"))
        with pytest.raises(StoreUnavailable):
            await store.check()
        assert time.monotonic() - started < 5
    finally:
        postgres.start()
    grants = await race(lambda _: store.find_grant("grant-1"))
    assert [grant.generation for grant in grants if grant] == [1] * 16
    assert await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=event("yes"))
    assert await stored(store) == ["yes"]


async def test_a_restart_between_two_calls_is_not_noticed(keeper: Keeper, postgres: PostgresServer):
    """Idle connections that the server closed are not handed out."""
    store = await keeper.open()
    await race(lambda _: store.check())
    postgres.stop()
    postgres.start()
    await race(lambda _: store.check())


async def test_a_database_that_is_away_at_the_start_is_named(postgres: PostgresServer):
    """The message says what did not answer, without the URL's password."""
    keeper = Keeper(f"postgresql://broker:geheim@127.0.0.1:{postgres.port}/nowhere")
    with pytest.raises(StoreUnavailable, match=r'database "nowhere" does not exist') as refusal:
        await keeper.open()
    assert "geheim" not in str(refusal.value)


async def test_a_server_that_hangs_is_hung_up_on(keeper: Keeper, postgres: PostgresServer, url: str):
    """An answer within five seconds whatever the server does; `check` within one."""
    store = await keeper.open()
    with psycopg.connect(url, autocommit=True) as admin:
        pids = [
            pid
            for (pid,) in admin.execute(
                "select pid from pg_stat_activity where application_name = 'mcp-broker' and datname = current_database()"
            )
        ]
    postgres.pause(pids)
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.check()
    assert 0.9 < time.monotonic() - started < 2
    postgres.resume(pids)
    await store.check()


async def test_a_lock_that_is_held_too_long_is_an_outage(keeper: Keeper, url: str):
    """The statement ends on the server too; nothing happened."""
    store = await keeper.open()
    handle = await give_grant(store)
    with psycopg.connect(url) as blocker:
        blocker.execute("lock table oauth_grant")
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=event("no"))
        blocker.rollback()
    assert await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=event("yes"))
    assert await stored(store) == ["yes"]


async def test_a_primary_that_became_read_only_is_left(keeper: Keeper, admin: psycopg.Connection):
    """After a failover the old primary refuses writes; the next call looks for the new one."""
    store = await keeper.open()
    admin.execute("alter system set default_transaction_read_only = on")
    admin.execute("select pg_reload_conf()")
    try:
        _wait_until_read_only(admin)
        with pytest.raises(StoreUnavailable, match="read-only"):
            await store.append_events(event("no"))
        with pytest.raises(StoreUnavailable):
            await store.append_events(event("no"))
    finally:
        admin.execute("set default_transaction_read_only = off")
        admin.execute("alter system reset default_transaction_read_only")
        admin.execute("select pg_reload_conf()")
    async with asyncio.timeout(3):
        while True:
            try:
                await store.append_events(event("yes"))
            except StoreUnavailable:
                await asyncio.sleep(0.02)
            else:
                break
    assert await stored(store) == ["yes"]


def _wait_until_read_only(admin: psycopg.Connection) -> None:
    while admin.execute("show default_transaction_read_only").fetchone() != ("on",):
        time.sleep(0.01)


async def test_the_victim_of_a_deadlock_tries_again(database: PostgresDatabase, admin: psycopg.Connection):
    """A victim has changed nothing; once is enough for it to succeed."""
    admin.execute("create sequence attempt")
    admin.execute(
        """create function deadlock_once() returns bigint language plpgsql as $$ begin
           if nextval('attempt') = 1 then raise exception using errcode = '40P01'; end if; return 7; end $$"""
    )
    assert await database.rows(Query("select deadlock_once()"), {}) == [(7,)]


async def test_a_victim_every_time_is_an_outage(database: PostgresDatabase, admin: psycopg.Connection):
    """Nobody tries for ever."""
    admin.execute(
        "create function conflict() returns int language plpgsql as $$ begin raise exception using errcode = '40001'; end $$"
    )
    with pytest.raises(StoreUnavailable, match="too busy"):
        await database.rows(Query("select conflict()"), {})


async def test_a_defect_is_not_an_outage(database: PostgresDatabase):
    """A broken statement of ours must not hide behind a 503; the connection serves on."""
    with pytest.raises(psycopg.errors.UndefinedTable):
        await database.rows(Query("select 1 from nowhere"), {})
    await database.check()


async def test_every_statement_is_decided_by_rows_not_by_snapshots(database: PostgresDatabase):
    """READ COMMITTED whatever the role's default is; and statements end by themselves."""
    assert await database.rows(Query("show transaction_isolation"), {}) == [("read committed",)]
    assert await database.rows(Query("show statement_timeout"), {}) == [("4s",)]


async def test_the_urls_own_options_win(postgres: PostgresServer):
    """What the URL says goes first: an administrator knows better."""
    database = PostgresDatabase(
        postgres.database() + "?application_name=mine&options=-c%20statement_timeout%3D3s", sink=unheard
    )
    await database.open()
    assert await database.rows(Query("show statement_timeout"), {}) == [("3s",)]
    assert await database.rows(Query("show application_name"), {}) == [("mine",)]
    assert await database.rows(Query("show default_transaction_isolation"), {}) == [("read committed",)]
    await database.close()


async def test_followers_of_the_trail_miss_no_late_event(keeper: Keeper, admin: psycopg.Connection, url: str):
    """Numbers are given before the commit: what follows a transaction on its way is held back until that one ended."""
    store = await keeper.open()
    await store.append_events(event("first"))
    insert = """insert into audit_event (at, name, request_id, fields) values (%s, %s, '', '{}')"""
    with psycopg.connect(url) as late:
        late.execute(insert, (NOW, "late"))
        await store.append_events(event("early"))
        assert await stored(store) == ["first"]
        assert [found.event.name for found in await store.read_events(newest=True)] == ["first", "early"]
        late.commit()
    assert await stored(store) == ["first", "late", "early"]


async def test_a_gap_that_stays_holds_nothing_back_for_long(keeper: Keeper, url: str):
    """A transaction that was rolled back leaves a gap for ever."""
    store = await keeper.open()
    await store.append_events(event("first"))
    with psycopg.connect(url) as failed:
        failed.execute("select nextval(pg_get_serial_sequence('audit_event', 'sequence'))")
    await store.append_events(event("second"))
    assert await stored(store) == ["first"]
    keeper.clock.time = NOW + 5
    assert await stored(store) == ["first", "second"]


async def test_a_change_is_one_statement(database: PostgresDatabase):
    """One round trip, in a transaction of its own: a step that fails takes the others with it."""
    change = Change(
        first="update counter set value = value + 1 where name = 'changes' returning value",
        second="""insert into counter (name, value) select 'changes', 1 where :first.value is not null returning value""",
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        await database.change(change, {}, event())
    assert await database.rows(Query("select value from counter where name = 'changes'"), {}) == [(0,)]
    assert await database.rows(Query("select count(*) from audit_event"), {}) == [(0,)]


async def test_the_clocks_are_compared(database: PostgresDatabase):
    """Architecture section 3: the system clock is the database's, by a sampled offset."""
    assert abs(await database.clock_offset()) < 0.5


async def test_a_pool_never_grows_beyond_its_size(url: str):
    """And whoever waits gets the first that comes back."""
    pool = Pool(parameters(url), size=2)

    async def backend(_: int) -> int:
        async with pool.connection() as connection:
            cursor = await connection.execute("select pg_backend_pid()")
            (row,) = await cursor.fetchall()
            return int(row[0])

    assert len(set(await race(backend))) <= 2
    await pool.close()


async def test_a_pool_that_stays_busy_says_so(url: str):
    """Nobody waits without end for a connection."""
    pool = Pool(parameters(url), size=1)
    async with pool.connection():
        with pytest.raises(StoreUnavailable, match="busy"):
            async with pool.connection(seconds=0.02):
                pass
    await pool.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        async with pool.connection():
            pass


async def test_a_caller_that_goes_away_gives_its_connection_back(url: str):
    """Cancelled in the middle of a statement: the statement is cancelled on the server, too."""
    pool = Pool(parameters(url), size=1)

    async def sleep() -> None:
        async with pool.connection() as connection:
            await connection.execute("select pg_sleep(3)")

    task = asyncio.create_task(sleep())
    await asyncio.sleep(0.04)
    task.cancel()
    await asyncio.wait([task])
    async with asyncio.timeout(2), pool.connection() as connection:
        await connection.execute("select 1")
    await pool.close()
