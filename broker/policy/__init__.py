"""Who gets what on which MCP server (architecture, section 7, "Policy rules"). Pure: asked with everything it needs, it only decides."""

from broker.policy.attributes import domain_of
from broker.policy.decision import AccessRequest, Decision
from broker.policy.engine import Policy
from broker.policy.explain import NOT_SUPPOSED, Explanation, Judged, JudgedRule

__all__ = ["NOT_SUPPOSED", "AccessRequest", "Decision", "Explanation", "Judged", "JudgedRule", "Policy", "domain_of"]
