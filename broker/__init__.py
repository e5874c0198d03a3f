"""mcp-federation-broker: the OAuth 2.1 authorization server for a company's MCP servers."""
