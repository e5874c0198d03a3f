"""The policy that is asked: one function, called by every grant and every refresh (architecture, section 7, "Policy rules")."""

from __future__ import annotations

from collections.abc import Mapping

from broker.model import Identity, Requirement, Resource, StepUp
from broker.policy import requirement, sign_in, step_up
from broker.policy.attributes import facts_of
from broker.policy.decision import NO_MATCH, REQUIRED, SIGN_IN, AccessRequest, Decision, refusal
from broker.policy.explain import Explanation, explain
from broker.policy.ruleset import NO_RULES, Outcome, RuleSet, compile_rules, evaluate
from broker.settings import PolicyRule, ProviderConfig, Settings

NOTHING = Requirement()


class Policy:
    """The rules as they are now, over one configuration. Raises nothing: every request has a decision."""

    def __init__(self, settings: Settings) -> None:
        """Keep the rules and each provider's restrictions."""
        self._rules = compile_rules(settings.policy)
        self._providers: Mapping[str, ProviderConfig] = {p.id: p for p in settings.providers}
        self._access_token_ttl = settings.access_token_ttl
        self._refresh_token_ttl = settings.refresh_token_ttl

    @property
    def rules(self) -> tuple[PolicyRule, ...]:
        """The rules that decide now."""
        return self._rules.rules

    def replace_rules(self, rules: tuple[PolicyRule, ...]) -> None:
        """Decide by other rules from here on; a decision that is being made keeps the ones it began with."""
        self._rules = compile_rules(rules)

    def may_sign_in(self, identity: Identity) -> str | None:
        """Return None when the person may sign in at all, else why not, naming the setting."""
        return sign_in.barred(identity, self._providers.get(identity.provider))

    def asked_at_once(self, provider: str, resource: Resource) -> tuple[str, ...]:
        """Return the provider's acr values that the first sign-in for a resource is asked for; empty for none."""
        config = self._providers.get(provider)
        return () if config is None else step_up.at_once(resource, config)

    def decide(self, request: AccessRequest) -> Decision:
        """Decide one request: the union of the matching `allow` rules, less what matching `deny` rules take away."""
        return self._decide(request, self._rules)

    def explain(self, request: AccessRequest) -> Explanation:
        """Return the decision with everything that led to it, and what would change it."""
        rules, config = self._rules, self._providers.get(request.identity.provider)
        return explain(request, self._decide(request, rules), rules, config)

    def _decide(self, request: AccessRequest, rules: RuleSet) -> Decision:
        config = self._providers.get(request.identity.provider)
        refused = sign_in.barred(request.identity, config)
        if refused is not None or config is None:
            return refusal(SIGN_IN, refused or "")
        if not rules.matchers and request.resource.require == NOTHING:
            whole = self._everything(request)
            if whole.scopes:
                return whole
        facts = facts_of(request.identity, request.client, request.resource, config, now=request.now)
        outcome = evaluate(rules, facts, request.resource)
        scopes = step_up.permitted(request, facts, outcome)
        demands = requirement.unmet(request.resource.require, facts)
        better = step_up.helpful(request, facts, rules, config) if len(scopes) < len(request.scopes) else None
        if not scopes:
            rule, reason = _why_nothing(request, outcome, demands, any_rules=bool(rules.matchers))
            return refusal(rule, f"{reason}; {_what_helps(better, config)}" if demands or better else reason, better)
        return Decision(
            allowed=True,
            scopes=scopes,
            access_token_ttl=outcome.access_token_ttl(request.resource.access_token_ttl or self._access_token_ttl),
            refresh_token_ttl=outcome.refresh_token_ttl(self._refresh_token_ttl),
            rule=outcome.names,
            reason="permitted",
            step_up=better,
        )

    def _everything(self, request: AccessRequest) -> Decision:
        """Return what the general way comes to without a rule and without a demand of the resource, where nothing counts of a person."""
        return Decision(
            allowed=True,
            scopes=tuple([scope for scope in request.scopes if scope in request.resource.scopes]),
            access_token_ttl=request.resource.access_token_ttl or self._access_token_ttl,
            refresh_token_ttl=self._refresh_token_ttl,
            rule=NO_RULES,
            reason="permitted",
        )


def _why_nothing(request: AccessRequest, outcome: Outcome, demands: list[str], *, any_rules: bool) -> tuple[str, str]:
    """Return the rule that decided and the reason, for a request of which nothing is permitted."""
    resource = request.resource.id
    if any_rules and not outcome.matching:
        return NO_MATCH, f"no allow rule matches this person on {resource}"
    if outcome.denied_by is not None:
        return outcome.denied_by, f"deny rule {outcome.denied_by} matches this person on {resource}"
    if not outcome.granted.intersection(request.scopes):
        asked = " ".join(request.scopes) or "nothing"
        return outcome.names, f"the matching rules permit none of the scopes asked ({asked})"
    return REQUIRED, f"{resource} requires {' and '.join(demands)}"


def _what_helps(better: StepUp | None, config: ProviderConfig) -> str:
    if better is None:
        return "no other sign-in at this provider would permit it"
    return f"another sign-in would permit it, with {step_up.words(better, config)}"
