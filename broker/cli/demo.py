"""`mcp-broker demo`: the whole login on this machine, without configuration (see broker/demo)."""

from __future__ import annotations

import asyncio
import os
import sys

from broker.config import SettingsError
from broker.demo.run import demo

USAGE = 2


def run(once: bool = False) -> int:
    """Run the demo until Ctrl-C, or with `once` until its scripted client is done; return the exit status."""
    try:
        return asyncio.run(demo(os.environ, sys.stdout, once=once))
    except SettingsError as error:
        sys.stderr.write(f"mcp-broker demo: {error}\n")
        return USAGE
    except OSError as error:
        sys.stderr.write(f"mcp-broker demo: cannot start: {error.strerror or error}\n")
        return 1
