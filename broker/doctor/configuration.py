"""What the settings alone say: that they load, what is allowed and perhaps not meant, and rules that can never hold."""

from __future__ import annotations

from collections.abc import Sequence

from broker.config import Examined, SettingsError
from broker.doctor.findings import counted, fail, ok, warn
from providers.base import Check

SETTINGS, POLICY = "settings", "policy rules"
_MENDS = (  # how a warning begins -> what helps
    ("BROKER_ADMIN_BIND", "Bind it to loopback or to a network of your own that only the monitoring reaches."),
    ("BROKER_BIND", "Bind it to loopback, or publish only a loopback port of the container (-p 127.0.0.1:8080:8080)."),
    ("BROKER_DEBUG_LOGIN", "Remove BROKER_DEBUG_LOGIN."),
    ("BROKER_TRUSTED_PROXIES", "Name the proxy's own address or network."),
    ("No identity provider", "Configure one: deploy/examples has a file for each type."),
    ("No resource", "Set BROKER_RESOURCES to the URLs of your MCP servers."),
)
_IF_NOT_MEANT = "Change the setting named, if this is not meant."


def refused(error: SettingsError) -> list[Check]:
    """Return every fault of settings that do not load."""
    return [
        fail(SETTINGS, f"{fault.setting} {fault.wrong}" + (f" ({fault.origin})" if fault.origin else ""), fault.mend)
        for fault in error.faults
    ]


def examine(examined: Examined) -> list[Check]:
    """Return what good settings hold, what the loader warns of, and rules over what a provider never gives."""
    settings = examined.settings
    things = {"provider": settings.providers, "resource": settings.resources, "client": settings.clients}
    counts = ", ".join(counted(len(those), thing) for thing, those in things.items())
    found = [ok(SETTINGS, f"They load: {counts}")]
    found += [warn(SETTINGS, text, _mend(text)) for text in settings.warnings if text not in examined.unmet]
    return [*found, *_policy(examined.unmet, len(settings.policy))]


def _policy(unmet: Sequence[str], rules: int) -> list[Check]:
    if not unmet:
        detail = (
            f"{counted(rules, 'rule')}, each over what its provider gives"
            if rules
            else "None: whoever may sign in gets what they consent to"
        )
        return [ok(POLICY, detail)]
    fix = "Remove the condition or name a provider that gives it; providers/README.md says what each gives."
    return [warn(POLICY, sentence, fix) for sentence in unmet]


def _mend(text: str) -> str:
    return next((mend for start, mend in _MENDS if text.startswith(start)), _IF_NOT_MEANT)
