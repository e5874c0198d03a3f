"""What MCP servers import: `BrokerTokenVerifier` for the MCP SDK, `ProtectedResourceMiddleware` for any ASGI application.

An MCPServer takes `token_verifier=BrokerTokenVerifier(issuer, resource)`; any other application is wrapped:
`ProtectedResourceMiddleware(app, issuer=issuer, resource=resource, scopes=["files:read"], tool_scopes={"delete": ["files:write"]})`.
"""

from broker.resource_server.keys import KeysUnavailable
from broker.resource_server.middleware import ProtectedResourceMiddleware
from broker.resource_server.verifier import BrokerTokenVerifier

__all__ = ["BrokerTokenVerifier", "KeysUnavailable", "ProtectedResourceMiddleware"]
