"""A second sign-in, because the first was too weak or too old: what it asks the provider, and what the person is told.

Once for each request: the request then carries its step-up, sealed or stored, and never leads to another (architecture, "Policy rules").
"""

from __future__ import annotations

from broker.login.refusals import Words
from broker.model import AuthorizationRequest, StepUp
from providers.base import Fault, UpstreamError

OTHER_PERSON = "You signed in as somebody else than before. Please look at this page again before you answer."
NOT_ENOUGH = Words(
    title="Your sign-in is not enough for this MCP server",
    what="It asks for a stronger or more recent sign-in, and the identity provider was asked for one and did not give it.",
    who="Ask your administrator how to set up what it asks for, such as a second factor, and give them the reference below.",
)
_UNMET = "unmet_authentication_requirements"  # OpenID Connect Core Unmet Authentication Requirements 1.0, section 2
_FAILED = ("id_token_auth_time", "step_up_unsupported")


class StepUpNeeded(Exception):
    """Nothing was issued, or not all that was asked: another sign-in at the provider would permit it."""

    def __init__(self, step_up: StepUp) -> None:
        """Keep what to ask for."""
        super().__init__(step_up.provider)
        self.step_up = step_up


def note(step_up: StepUp) -> str:
    """Return why a signed-in person is asked to sign in again."""
    if step_up.acr_values:
        return "This needs a stronger sign-in than the one you have here, for example with a second factor. Please sign in again."
    return "This needs a more recent sign-in than the one you have here. Please sign in again."


def prompt(request: AuthorizationRequest) -> tuple[str, ...]:
    """Return the `prompt` for the provider: the client's where it is one that means something there, or ours (rule C17)."""
    if request.step_up is not None and request.step_up.anew:
        return ("login",)
    return tuple(word for word in request.prompt if word in ("login", "select_account"))


def max_age(request: AuthorizationRequest) -> int | None:
    """Return the age in seconds that the sign-in may have: the stricter of the client's and ours."""
    ages = (request.max_age, request.step_up.max_age if request.step_up else None)
    return min((age for age in ages if age is not None), default=None)


def failed(request: AuthorizationRequest, error: UpstreamError) -> bool:
    """Tell whether a provider's failure means that the sign-in was not what we asked for."""
    if request.step_up is None:
        return error.reason == _UNMET
    return error.reason in _FAILED or error.fault is Fault.INTERACTION
