"""What an app may have whatever the rules say: nothing while blocked, nothing beyond its own `scope` (RFC 7591 section 2). Pure."""

from __future__ import annotations

from dataclasses import replace

from broker.policy.decision import CLIENT, AccessRequest, refusal
from broker.policy.engine import Policy
from broker.policy.explain import Explanation
from broker.protocol.scope import allowed


def explained(policy: Policy, asked: AccessRequest, *, blocked: bool) -> Explanation:
    """Return the policy's decision on the scopes that the client may ask for, with what becomes of the rest of those asked."""
    client, scopes = asked.client, asked.scopes
    within = allowed(client, asked.resource, scopes)
    told = policy.explain(replace(asked, scopes=within))
    if blocked:
        lift = f"Lifting the block: mcp-broker clients unblock {client.client_id}"
        decision = refusal(CLIENT, f"client {client.client_id} is blocked")
        return replace(told, decision=decision, withheld=scopes, remedies=(lift,))
    beyond = tuple(scope for scope in scopes if scope not in within)
    if not beyond:
        return told
    why = f"client {client.client_id} may ask for {client.scope} alone, as its SCOPE says"
    wider = f"A SCOPE of client {client.client_id} that holds {' '.join(beyond)}"
    return replace(
        told,
        decision=told.decision if within else refusal(CLIENT, why),
        withheld=tuple(scope for scope in scopes if scope in told.withheld or scope in beyond),
        remedies=(wider, *(told.remedies if within else ())),
    )
