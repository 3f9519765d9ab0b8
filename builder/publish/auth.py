"""How to get in at a registry: HTTP's basic authentication, or tokens of a server that the registry names.

Source: distribution, `docs/spec/auth/token.md` and `oauth.md`; RFC 9110, 11.6.1 (WWW-Authenticate).
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable

from builder.publish.content import parse_json
from builder.publish.credentials import NOBODY, Credentials
from builder.publish.http import Answer, Failure, Http, split_address

_CHALLENGE = re.compile(r"(?i)\b(basic|bearer)\b")
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Authorizer:
    """Gets a header `Authorization` for each scope.

    Args:
        secure: The registry is spoken to by TLS: then so is a token server.
        credentials: Looked up when the registry asks who we are, once.
    """

    def __init__(self, http: Http, *, secure: bool, credentials: Callable[[], Credentials]) -> None:
        self._http = http
        self._secure = secure
        self._find = credentials
        self._found: Credentials | None = None
        self._basic = False
        self._tokens: dict[str, str] = {}

    def header(self, scope: str) -> dict[str, str]:
        """What to send with a request; nothing while the registry has not asked.

        Args:
            scope: What the request is about (`repository:acme/os-kernel:pull,push`), several with spaces between.
        """
        if token := self._tokens.get(scope):
            return {"Authorization": f"Bearer {token}"}
        return {"Authorization": self._credentials.basic} if self._basic else {}

    @property
    def _credentials(self) -> Credentials:
        if self._found is None:
            self._found = self._find()
        return self._found

    def answer(self, challenge: str, scope: str) -> bool:
        """Take what an answer 401 asks for; false when there is nothing to answer with.

        Raises:
            Failure: The token server refuses.
        """
        kind = _CHALLENGE.search(challenge)
        if kind is None:
            return False
        if kind[1].lower() == "basic":
            self._basic = bool(self._credentials.user)
            return self._basic
        parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(challenge)}
        self._tokens[scope] = self._token(parameters, scope)
        return True

    def _token(self, parameters: dict[str, str], scope: str) -> str:
        realm = parameters.get("realm", "")
        parts = split_address(realm)
        if parts.scheme not in ("https", "http") or not parts.netloc or "@" in parts.netloc:
            raise Failure(f"it asks for a token of {realm[:80]!r}, which is no address")
        if self._secure and parts.scheme != "https":
            raise Failure(f"it asks for a token of {parts.netloc} without TLS")
        asked = {"service": parameters["service"]} if parameters.get("service") else {}
        mine = self._credentials or NOBODY
        try:
            if mine.identity_token:
                form = {
                    "grant_type": "refresh_token",
                    "client_id": "rosk",
                    "refresh_token": mine.identity_token,
                    "scope": scope,
                    **asked,
                }
                headers = {"Content-Type": "application/x-www-form-urlencoded"}
                body = urllib.parse.urlencode(form).encode()
                answer = self._http.request("POST", realm, expect=(200,), headers=headers, body=body)
            else:
                query = urllib.parse.urlencode(
                    [*urllib.parse.parse_qsl(parts.query), *asked.items(), *(("scope", each) for each in scope.split())]
                )
                headers = {"Authorization": mine.basic} if mine else {}
                answer = self._http.request("GET", parts._replace(query=query).geturl(), expect=(200,), headers=headers)
        except Failure as failure:
            failure.args = (f"no token of {parts.netloc}: {failure}",)
            raise
        return _read(answer, parts.netloc)


def _read(answer: Answer, server: str) -> str:
    try:
        found = parse_json(answer.body)
        token = found.get("token") or found["access_token"]
    except (ValueError, LookupError, AttributeError):
        token = None
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise Failure(f"{server} gave no token that can be read", wait=0)
    return token
