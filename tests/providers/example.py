"""The example package of providers/README.md, installed as anybody would install it, without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from providers.registry import GROUP
from tests.providers.kinds import ALWAYS, CAPABILITIES, Kind
from tests.providers.scripted_idp import ScriptedIdp

SOURCE = Path(__file__).parent / "example_package"
SHAPES = {
    "acme": Kind("https://id.acme.example", CAPABILITIES, {"groups_claim": "groups"}),
    "forge": Kind("https://forge.acme.example", ALWAYS[:1]),
}


def install(folder: Path) -> Path:
    """Install the package with pip; return the directory that holds it. Built from a copy, so that nothing is left in the tree."""
    source = shutil.copytree(SOURCE, folder / "source")
    target = folder / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([*pip, *offline, str(source)], check=True, timeout=100)
    return target


def entries(target: Path) -> list[Any]:
    """Return the provider types that the packages in a directory announce."""
    return [e for found in distributions(path=[str(target)]) for e in found.entry_points if e.group == GROUP]


class ScriptedForge(ScriptedIdp):
    """The forge: OAuth and an API, no ID tokens, tokens without an end."""

    def __init__(self, issuer: str, **changes: Any) -> None:
        super().__init__(issuer, routes=[Route("/api/user", self._endpoint("userinfo", self._user))], **changes)

    def _authorize(self, params: Any, request: Request) -> Response:
        assert "nonce" not in params
        assert "openid" not in params["scope"]
        return super()._authorize({**params, "nonce": "none", "scope": f"openid {params['scope']}"}, request)

    def _user(self, params: Any, request: Request) -> Response:
        answer = self._userinfo(params, request)
        if answer.status_code != 200:
            return answer
        claims = json.loads(bytes(answer.body))
        return JSONResponse({"id": claims.get("sub"), "name": claims["name"], "teams": claims.get("groups")})
