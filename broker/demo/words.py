"""What the demo says before and after its run: where everything is, who can be picked, what to paste into which client."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from broker.demo.steps import Addresses

NAME = "notes"


def opening(at: Addresses, providers: Sequence[tuple[str, str]], log: str, moved: Sequence[str]) -> Iterator[str]:
    """Yield the lines before the run. `providers` are (id, issuer), `moved` is what is not on its usual port."""
    yield "The whole login on this machine: client, broker, identity provider, MCP server."
    yield ""
    yield f"  broker             {at.issuer}"
    for _, issuer in providers:
        yield f"  identity provider  {issuer}{' (embedded)' if at.idp else ''}"
    yield f"  MCP server         {at.resource}"
    yield f"  log                {log}"
    if moved:
        yield ""
        yield "  Not on its usual port, which is taken:"
        yield f"    {', '.join(moved)}"
    if at.idp is None:
        yield ""
        yield "  These redirect URIs must be registered at the identity provider:"
        yield from (f"    {at.issuer}/callback/{provider}" for provider, _ in providers)


def closing(at: Addresses, *, once: bool) -> Iterator[str]:
    """Yield the lines after a good run."""
    yield ""
    yield "Every step was seen on the wire. Now with your own client:"
    yield ""
    yield "  Claude Code"
    yield f"    claude mcp add --transport http {NAME} {at.resource}"
    yield "  VS Code, .vscode/mcp.json"
    yield f"    {_json({'servers': {NAME: {'type': 'http', 'url': at.resource}}})}"
    yield "  Cursor, ~/.cursor/mcp.json"
    yield f"    {_json({'mcpServers': {NAME: {'url': at.resource}}})}"
    yield "  Inspector"
    yield f"    npx @modelcontextprotocol/inspector --web --transport http \\\n      --server-url {at.resource}"
    if at.idp is not None:
        yield ""
        yield "  alice (engineering) reads and adds, bob (sales) reads, mallory is refused."
        yield f"  Change who is in which group: {at.idp}/people"
    yield ""
    yield (
        "This run ends here (--once); without it, the servers stay up."
        if once
        else "Everything stays up. Ctrl-C stops it and deletes the temporary database."
    )


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))  # with spaces it would not fit into a line
