"""Which verbs of the store take the events of their change (architecture, section 3)."""

from __future__ import annotations

import inspect
import sys

from broker.store.base import Store

READS = (
    "find_",
    "read_",
    "list_",
    "load_",
    "approved_",
    "blocked_",
    "changes",
    "check",
    "clock_",
    "token_ended",
    "holdings",
    "sealed_",
)
LIFE = ("open", "close", "observe", "purge")


def test_every_verb_that_gives_or_takes_something_takes_its_events():
    """The three that do not are those that base.py names: an auditor misses nothing."""
    verbs = {name: verb for name, verb in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_")}
    changing = {name for name in verbs if not name.startswith(READS + LIFE)}
    silent = {name for name in changing if "events" not in inspect.signature(verbs[name]).parameters}
    assert silent == {"first_use", "lease_upstream_session", "reseal_tokens"}
    words = sys.modules[Store.__module__].__doc__ or ""
    assert all(f"`{name}`" in words for name in silent)
