"""`python -m broker.cli` is `mcp-broker`."""

from broker.cli import main

main()
