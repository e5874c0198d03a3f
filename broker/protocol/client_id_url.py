"""Client identifiers that are URLs (draft-ietf-oauth-client-id-metadata-document section 3). Pure; rule D8.

https, with a path, without dot segments, fragment or userinfo; a port is allowed. Nothing is normalised: the identifier is the
string, and the document must repeat it. http is for loopback, where our own issuer is loopback.
"""

from __future__ import annotations

from urllib.parse import unquote

from broker.oauth import InvalidClient, Reason
from broker.protocol import web_url
from broker.protocol.web_url import WebUrl


def is_url(client_id: str) -> bool:
    """Tell whether a client id claims to be a URL; ids of ours never do."""
    return client_id.startswith(("https://", "http://"))


def check(client_id: str, *, loopback: bool) -> WebUrl:
    """Return the parts of a client id URL; `loopback` says whether our own issuer is loopback. Raises InvalidClient."""
    url = web_url.parse(client_id)
    if url is None or (url.scheme == "http" and not (loopback and url.loopback)):
        raise InvalidClient(Reason.CLIENT_UNKNOWN, "no client id URL")
    segments = url.path.split("/")[1:]
    if not any(segments) or any(unquote(segment) in (".", "..") for segment in segments):
        raise InvalidClient(Reason.CLIENT_UNKNOWN, "path of the client id URL")
    return url
