#!/bin/sh
# /usr/local/bin/mcp-broker: any command with the settings and secrets of the service. For root.
export BROKER_CONFIG=/etc/mcp-broker/broker.toml CREDENTIALS_DIRECTORY=/etc/mcp-broker/secrets
cd /var/lib/mcp-broker && exec runuser -u mcp-broker -- /opt/mcp-broker/bin/mcp-broker "$@"
