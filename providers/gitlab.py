"""Type `gitlab`: gitlab.com or a GitLab of your own. Its issuer is its base URL.

UserInfo has every group by its path, inherited ones too (the ID token only the direct ones); paths can be renamed and reused, so rules
name groups of your own instance or top-level group only. A refresh token serves once: one refresh at a time (rule B14). It sends no
logout tokens, has no session that others may end, and knows no `acr`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from urllib.parse import urlsplit

from providers.base import ProviderType
from providers.console import Console
from providers.oidc import RevocableProvider
from providers.options import OPTIONS, Preset, faults


def is_open(options: Mapping[str, str]) -> bool:
    """Tell whether strangers can sign in: at gitlab.com anybody makes an account."""
    return urlsplit(options["issuer"]).hostname in ("gitlab.com", "www.gitlab.com")


PRESET = Preset(
    wanted=(),
    console=Console(
        issuer="it is the base URL of your GitLab, without a slash: https://gitlab.com",
        client="Group (or Admin area) > Settings > Applications > (the application) > Application ID and Secret",
        redirect="Group (or Admin area) > Settings > Applications > (the application) > Edit > Redirect URI",
        groups="UserInfo always has them: leave USERINFO out",
        logout="",
        key="GitLab takes no keys from clients: use a client secret",
        refresh="GitLab always gives one",
    ),
)
TYPE = ProviderType(
    name="gitlab",
    build=functools.partial(RevocableProvider, PRESET),
    options=OPTIONS,
    gives=frozenset({"user", "domain", "group", "auth_time"}),
    open_to_anyone=is_open,
    faults=faults,
)
