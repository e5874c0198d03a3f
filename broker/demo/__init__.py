"""The demo: an embedded development identity provider, a sample MCP server, a scripted client."""
