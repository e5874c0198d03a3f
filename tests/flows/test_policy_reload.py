"""Rules that change while the broker runs (architecture, "Policy rules"): the next decision is by the new ones, or by the old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from broker.cli.context import Sources, read_again
from broker.config import Examined, examine
from broker.reload import PolicyReload
from broker.store.base import StoreUnavailable
from providers.registry import provider_types
from tests.broker.harness import BrokerUnderTest, running
from tests.broker.settings_input import LOCAL

ENGINEERS = '[[policy]]\nname = "engineers"\ngroup = "/eng"\n'
SALES = '[[policy]]\nname = "sales"\ngroup = "/sales"\n'
PROVIDER = '[providers.oidc]\nissuer = "https://idp.example.com"\nclient_id = "b"\n'


@dataclass
class Reloading:
    """A broker whose rules follow a file."""

    broker: BrokerUnderTest
    reload: PolicyReload
    file: Path

    async def write(self, text: str) -> None:
        """Change the file and look until it held still."""
        self.file.write_text(text)
        await self.reload.look()
        await self.reload.look()

    @property
    def rules(self) -> list[str]:
        return [rule.name for rule in self.broker.broker.core.policy.rules]


class Failing:
    """A store whose database is gone for a while."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.down = False
        self.failed, self.kept = asyncio.Event(), asyncio.Event()

    async def append_events(self, events: Any) -> None:
        if self.down:
            self.failed.set()
            raise StoreUnavailable
        await self.store.append_events(events)
        self.kept.set()


@asynccontextmanager
async def reloading(
    folder: Path, text: str = PROVIDER + ENGINEERS, environ: Mapping[str, str] | None = None, **changes: Any
) -> AsyncIterator[Reloading]:
    file = folder / "broker.toml"
    file.write_text(text)
    first = Sources({}, {**LOCAL, "BROKER_CONFIG": str(file), **(environ or {})}, text.encode(), file)
    began: Examined = examine(first.argv, first.environ, first.toml, provider_types())
    async with running(folder, policy=began.settings.policy, **changes) as broker:
        core = broker.broker.core
        reload = PolicyReload(
            lambda: read_again(first, provider_types()),
            file,
            began,
            policy=core.policy,
            store=Failing(core.store),  # type: ignore[arg-type]  # only events are stored
            audit=core.audit,
            interval=0.01,
        )
        yield Reloading(broker, reload, file)


async def test_a_changed_file_decides_the_next_refresh(tmp_path: Path):
    """No restart, and no new sign-in once a mistake is mended."""
    async with reloading(tmp_path) as it:
        token = (await it.broker.redeem(await it.broker.browser().code())).json()["refresh_token"]
        await it.write(PROVIDER + SALES)
        refused = await it.broker.refresh(token)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        assert (await it.broker.events("token.refresh_refused"))[-1]["rule"] == "no match"
        await it.write(PROVIDER + SALES + ENGINEERS)
        assert (await it.broker.refresh(token)).status_code == 200
        told = [(e["cause"], e["before"], e["rules"]) for e in await it.broker.events("policy.reloaded")]
        assert told == [("file", 1, 1), ("file", 1, 2)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PROVIDER + '[[policy]]\ngrop = "/sales"\n', "grop"),
        (PROVIDER + "[[policy", "is not TOML"),
        (PROVIDER, "no rule is left, and a reload never goes from rules to none"),
        ("", "no rule is left"),
        ('bind = "nowhere"\n' + PROVIDER + SALES, "bind"),
    ],
    ids=["typing-error", "half-written", "without-rules", "empty", "fault-elsewhere"],
)
async def test_a_file_with_a_fault_keeps_the_old_rules_and_says_so(tmp_path: Path, text: str, says: str):
    async with reloading(tmp_path) as it:
        await it.write(text)
        assert it.rules == ["engineers"]
        (event,) = await it.broker.events("policy.reload_refused")
        assert says in event["fault"]
        assert (event["cause"], event["kept"]) == ("file", 1)
        assert any('"event": "policy.fault"' in line and says in line for line in it.broker.oracle.log)
        await it.reload.look()
        assert len(await it.broker.events("policy.reload_refused")) == 1, "one fault is told once"
        await it.write(PROVIDER + SALES)
        assert it.rules == ["sales"]


async def test_a_file_that_is_gone_keeps_the_old_rules(tmp_path: Path):
    async with reloading(tmp_path) as it:
        it.file.unlink()
        await it.reload.look()
        await it.reload.look()
        assert it.rules == ["engineers"]
        assert "cannot be read" in (await it.broker.events("policy.reload_refused"))[0]["fault"]


async def test_a_file_is_not_read_while_somebody_is_still_writing(tmp_path: Path):
    """Half a file may be good by itself, without the rules that deny."""
    async with reloading(tmp_path) as it:
        for text in (PROVIDER + SALES, PROVIDER + SALES + ENGINEERS):
            it.file.write_text(text)
            await it.reload.look()
        assert it.rules == ["engineers"]
        await it.reload.look()
        assert it.rules == ["sales", "engineers"]


async def test_a_signal_reads_at_once(tmp_path: Path):
    async with reloading(tmp_path) as it:
        it.file.write_text(PROVIDER + SALES)
        it.reload.ask()
        await it.reload.look()
        assert it.rules == ["sales"]
        assert (await it.broker.events("policy.reloaded"))[0]["cause"] == "signal"
        it.reload.ask()
        await it.reload.look()
        assert any('"event": "policy.unchanged"' in line for line in it.broker.oracle.log)


async def test_from_no_rules_to_rules_is_a_change_like_any_other(tmp_path: Path):
    async with reloading(tmp_path, PROVIDER) as it:
        await it.write(PROVIDER + SALES)
        assert it.rules == ["sales"]


async def test_other_settings_wait_for_the_next_start_and_are_named(tmp_path: Path):
    async with reloading(tmp_path) as it:
        await it.write('session_ttl = "1h"\n[resources.new]\nurl = "https://new.example.com"\n' + PROVIDER + SALES)
        assert it.rules == ["sales"]
        (line,) = [line for line in it.broker.oracle.log if "settings.restart_needed" in line]
        assert '"settings": "resources session_ttl"' in line


async def test_rules_that_only_fit_other_providers_are_kept_out(tmp_path: Path):
    """With one provider a rule need not name it; in a process with several it would let strangers choose the group."""
    async with reloading(tmp_path) as it:
        (one,) = it.reload._began.providers
        other = replace(one, adapter=replace(one.adapter, id="other"))
        it.reload._began = replace(it.reload._began, providers=(one, other))
        await it.write(PROVIDER + SALES)
        assert it.rules == ["engineers"]
        assert "is about group and names no provider" in (await it.broker.events("policy.reload_refused"))[0]["fault"]
        await it.write(PROVIDER + SALES + 'provider = "oidc"\n')
        assert it.rules == ["sales"]
        await it.write(PROVIDER + '[[policy]]\nname = "one"\nuser = "a@example.com"\n')
        assert it.rules == ["one"]


async def test_a_rule_that_can_never_hold_is_told_again(tmp_path: Path):
    async with reloading(tmp_path) as it:
        await it.write(PROVIDER + '[[policy]]\nname = "tenants"\ntenant = "t"\n')
        assert it.rules == ["tenants"]
        assert any("which oidc never gives" in line for line in it.broker.oracle.log)


async def test_an_outage_puts_a_reload_off_and_loses_nothing(tmp_path: Path):
    """What is not in the audit trail does not happen."""
    async with reloading(tmp_path) as it:
        store: Any = it.reload._store
        store.down = True
        it.file.write_text(PROVIDER + SALES)
        await it.reload.look()
        with pytest.raises(StoreUnavailable):
            await it.reload.look()
        assert it.rules == ["engineers"]
        store.down = False
        await it.reload.look()
        assert it.rules == ["sales"]


@pytest.mark.parametrize("form", ["BROKER_POLICY_FILE", "BROKER_POLICY"])
async def test_a_policy_file_is_followed_too(tmp_path: Path, form: str):
    policy = tmp_path / "policy.json"
    policy.write_text('[{"name": "engineers", "group": "/eng"}]')
    named = {form: str(policy) if form.endswith("FILE") else f"file:{policy}"}
    async with reloading(tmp_path, PROVIDER, named) as it:
        policy.write_text('[{"name": "sales", "group": "/sales"}]')
        await it.reload.look()
        await it.reload.look()
        assert it.rules == ["sales"]


async def test_a_new_name_for_the_policy_file_is_followed(tmp_path: Path):
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(ENGINEERS)
    two.write_text(SALES)
    async with reloading(tmp_path, f'policy = "file:{one}"\n{PROVIDER}') as it:
        await it.write(f'policy = "file:{two}"\n{PROVIDER}')
        assert it.rules == ["sales"]
        two.write_text(SALES + ENGINEERS)
        await it.reload.look()
        await it.reload.look()
        assert it.rules == ["sales", "engineers"]
        assert len(await it.broker.events("policy.reloaded")) == 2


async def test_whoever_watches_reloads_by_itself_and_waits_out_an_outage(tmp_path: Path):
    async with reloading(tmp_path) as it, asyncio.timeout(20):
        store: Any = it.reload._store
        store.down = True
        watching = asyncio.create_task(it.reload.watch())
        it.file.write_text(PROVIDER + SALES)
        await store.failed.wait()
        assert it.rules == ["engineers"]
        store.down = False
        await store.kept.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert it.rules == ["sales"]
