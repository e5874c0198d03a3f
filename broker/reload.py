"""Policy rules that change while the broker runs: read again at SIGHUP or when their file changes, and swapped as a whole or not at all.

Only the rules: every other setting takes effect at the next start, and the log names those that changed. Settings with a fault keep
the rules that decide now, and so do settings without any rule: a lost file must not open what rules had closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

from broker.audit import Audit, Event
from broker.config import Examined, SettingsError
from broker.config.faults import Fault
from broker.config.policy import NEEDS_PROVIDER
from broker.policy import Policy
from broker.settings import PolicyRule, Settings
from broker.store.base import Store, StoreUnavailable

INTERVAL = 2.0  # seconds between two looks at the files
_MOST = 20  # faults that the log repeats
_NOT_COMPARED = ("policy", "origins", "warnings")
Signature = tuple[tuple[int, int, int] | None, ...]


class PolicyReload:
    """Follows the files that the rules come from."""

    def __init__(
        self,
        read: Callable[[], Examined],
        file: Path,
        began: Examined,
        *,
        policy: Policy,
        store: Store,
        audit: Audit,
        interval: float = INTERVAL,
    ) -> None:
        """Keep what reads the settings again (it may raise SettingsError), the settings file, and what the process began with.

        `interval` is the time between two looks, in seconds.
        """
        self._read = read
        self._file = file
        self._began = began.settings
        self._policy = policy
        self._store = store
        self._audit = audit
        self._interval = interval
        self._asked = asyncio.Event()
        self._cause: str | None = None  # of a reload that is due
        self._files = (file, *began.files)
        self._loaded = self._last = signature(self._files)

    def ask(self) -> None:
        """Read the rules again as soon as may be (SIGHUP)."""
        self._asked.set()

    async def watch(self) -> None:
        """Follow files and requests until cancelled. An outage of the database puts a reload off, no more."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._asked.wait()
            try:
                await self.look()
            except StoreUnavailable:
                self._audit.log("policy.reload_postponed", "warning")
                await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Reload where it was asked for, or where a file changed and then held still for one look; raises StoreUnavailable."""
        now = await asyncio.to_thread(signature, self._files)
        if self._asked.is_set():
            self._asked.clear()
            self._cause = "signal"
        elif now != self._loaded and now == self._last:  # not while somebody is still writing
            self._cause = "file"
        self._last = now
        if self._cause is not None:
            files = self._files
            await self._reload(self._cause)
            self._loaded, self._cause = now if self._files == files else self._last, None

    async def _reload(self, cause: str) -> None:
        try:
            found = await asyncio.to_thread(self._read)
        except SettingsError as error:
            await self._keep(cause, error.faults)
            return
        rules = found.settings.policy
        faults = _unfit(rules, self._policy.rules, self._began)
        if faults:
            await self._keep(cause, faults)
            return
        if rules == self._policy.rules:
            self._audit.log("policy.unchanged", rules=len(rules), cause=cause)
        else:
            event = self._audit.event(
                Event.POLICY_RELOADED, cause=cause, rules=len(rules), before=len(self._policy.rules)
            )
            await self._store.append_events([event])
            self._policy.replace_rules(rules)
            for warning in found.unmet:
                self._audit.log("settings.warning", "warning", text=warning)
        await self._follow(found)

    async def _follow(self, found: Examined) -> None:
        """Watch the files that the settings name now, and say which other settings wait for a start."""
        files = (self._file, *found.files)
        if files != self._files:
            self._files = files
            self._last = await asyncio.to_thread(signature, files)
        waiting = [
            field.name
            for field in fields(Settings)
            if field.name not in _NOT_COMPARED
            and getattr(found.settings, field.name) != getattr(self._began, field.name)
        ]
        if waiting:
            self._audit.log("settings.restart_needed", "warning", settings=" ".join(waiting))

    async def _keep(self, cause: str, faults: Iterable[Fault]) -> None:
        """Say that the old rules stay, and why."""
        found = tuple(faults)
        first = f"{found[0].setting}: {found[0].wrong}"
        event = self._audit.event(
            Event.POLICY_RELOAD_REFUSED, cause=cause, kept=len(self._policy.rules), faults=len(found), fault=first
        )
        await self._store.append_events([event])
        for fault in found[:_MOST]:
            self._audit.log(
                "policy.fault", "error", setting=fault.setting, origin=fault.origin, wrong=fault.wrong, mend=fault.mend
            )


def signature(files: Iterable[Path]) -> Signature:
    """Return what tells one state of some files from another; a file that is not there is a state, too."""
    return tuple(_state(file) for file in files)


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _unfit(rules: tuple[PolicyRule, ...], now: tuple[PolicyRule, ...], began: Settings) -> list[Fault]:
    """Return why rules that are good by themselves cannot decide in this process."""
    if now and not rules:
        wrong = "no rule is left, and a reload never goes from rules to none"
        return [
            Fault(setting="policy", origin="", wrong=wrong, mend="write a rule, or start the broker anew without any")
        ]
    if len(began.providers) < 2:  # noqa: PLR2004 - several
        return []
    return [
        Fault(
            setting=f"policy, rule {rule.name}",
            origin="",
            wrong=f"is about {' and '.join(named)} and names no provider, while this process has several",
            mend="add provider, or start the broker anew with the one provider",
        )
        for rule in rules
        if not rule.provider and (named := [name for name in NEEDS_PROVIDER if getattr(rule, name)])
    ]
