"""What `mcp-broker doctor` finds: real servers on loopback, real TLS, real databases."""
