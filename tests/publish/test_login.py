"""Docker's configuration and its helpers, and registries that want a token."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from builder.errors import InputError, PublishError
from builder.publish.credentials import NOBODY, Credentials, find_credentials
from builder.publish.transfer import State
from builder.settings import Registry
from tests.conftest import serving
from tests.faultproxy import Fault, fault_proxy
from tests.publish import registries
from tests.publish.material import make_bundle, send
from tests.publish.registries import Tls, basic, docker_config
from tests.publish.servers import Handler


def write(folder: Path, config: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "config.json"


def helper(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("auths", "host"),
    [
        ({"registry.example:5000": basic("mira", "pass:word")}, "registry.example:5000"),
        ({"https://registry.example/v1/": basic("mira", "pass:word")}, "registry.example"),
        ({"https://index.docker.io/v1/": basic("mira", "pass:word")}, "docker.io"),
        ({"registry.example": {"username": "mira", "password": "pass:word"}}, "registry.example"),
    ],
)
def test_logins_in_the_file(auths: dict[str, dict[str, str]], host: str, tmp_path: Path) -> None:
    file = write(tmp_path, {"auths": auths})
    assert find_credentials(host, file) == Credentials(user="mira", password="pass:word")
    assert find_credentials("elsewhere.example", file) == NOBODY
    assert "pass:word" not in repr(find_credentials(host, file))


def test_an_identity_token(tmp_path: Path) -> None:
    file = write(tmp_path, {"auths": {"r.example": {"auth": "bTo=", "identitytoken": "tok"}}})
    assert find_credentials("r.example", file) == Credentials(identity_token="tok")


def test_helpers_win_over_the_store_and_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_KEY", "kept")
    helper(
        tmp_path / "bin",
        "cloud",
        'read server; echo "{\\"Username\\": \\"$1-$server\\", \\"Secret\\": \\"$CLOUD_KEY\\"}"',
        monkeypatch,
    )
    helper(tmp_path / "bin", "store", """echo '{"Username": "<token>", "Secret": "stored"}'""", monkeypatch)
    file = write(
        tmp_path,
        {"auths": {"r.example": basic("a", "b")}, "credsStore": "store", "credHelpers": {"r.example": "cloud"}},
    )
    assert find_credentials("r.example", file) == Credentials(user="get-r.example", password="kept")
    assert find_credentials("s.example", file) == Credentials(identity_token="stored")


def test_a_helper_that_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path / "bin", "none", "echo 'credentials not found in native keychain'; exit 1", monkeypatch)
    assert find_credentials("r.example", write(tmp_path, {"credsStore": "none"})) == NOBODY


@pytest.mark.parametrize(
    "script", ["echo s3cret; exit 3", "echo s3cret >&2; exit 1", "echo s3cret", 'echo \'{"Username": "s3cret"}\'']
)
def test_a_helper_that_fails_is_not_repeated(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it printed may be a secret."""
    helper(tmp_path / "bin", "bad", script, monkeypatch)
    with pytest.raises(PublishError) as caught:
        find_credentials("r.example", write(tmp_path, {"credsStore": "bad"}))
    shown = f"{caught.value} {caught.value.details} {caught.value.hint} {caught.value.__cause__}"
    assert "docker-credential-bad" in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("config", "error", "what"),
    [
        ({"credsStore": "../evil"}, InputError, "no credential helper"),
        ({"credsStore": "missing-one"}, PublishError, "not installed"),
        ({"auths": {"r.example": {"auth": "%%%"}}}, InputError, "base64"),
        ({"auths": {"r.example": {"auth": "bWlyYQ=="}}}, InputError, "no user and password"),
    ],
)
def test_configurations_that_are_wrong(config: object, error: type[Exception], what: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=what):
        find_credentials("r.example", write(tmp_path, config))


def test_no_configuration(tmp_path: Path) -> None:
    assert find_credentials("r.example", tmp_path / "config.json") == NOBODY
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        find_credentials("r.example", tmp_path / "config.json")


def test_a_helper_that_fails_is_the_failure_of_its_registry(
    org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: registries.Look, locked: registries.Look, tls: Tls
) -> None:
    helper(tmp_path / "bin", "bad", "exit 1", monkeypatch)
    write(tmp_path / "login", {"credHelpers": {locked.host: "bad"}})
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "login"))
    outcomes = send(make_bundle(tmp_path / "r", org), Registry(host=locked.host, ca=tls.ca), plain.host)
    assert [each.state for each in outcomes] == [State.FAILED] * 4 + [State.SENT] * 4


class Tokens:
    """A token server that docker-registry trusts: JSON web tokens (RFC 7519), signed with openssl."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def token(self, scopes: tuple[str, ...]) -> str:
        der = subprocess.run(
            ["openssl", "x509", "-in", self.tls.certificate, "-outform", "DER"], check=True, capture_output=True
        ).stdout
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {
            **{"iss": "tests", "sub": "mira", "aud": "registry", "jti": str(len(self.asked)), "access": access},
            **{"exp": now + 300, "nbf": now - 10, "iat": now},
        }
        header = {"alg": "RS256", "typ": "JWT", "x5c": [base64.b64encode(der).decode()]}
        signed = b".".join(_url64(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.tls.key], input=signed, check=True, capture_output=True
        ).stdout
        return (signed + b"." + _url64(signature)).decode()


def _url64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[tuple[str, Tokens]]:
    """`host:port` of a registry that wants tokens, and who gives them."""
    key, certificate = tmp_path / "token.key", tmp_path / "token.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=tokens"]
    subprocess.run(["openssl", *words, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    state = Tokens(Tls(ca=certificate, certificate=certificate, key=key))

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            who = self.headers.get("Authorization", "")
            state.asked.append((who, tuple(query.get("scope", ()))))
            good = who == Credentials(user="mira", password="pass").basic
            body = json.dumps({"token": state.token(tuple(query.get("scope", ())))}).encode() if good else b"{}"
            self.send_response(200 if good else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(Server) as server:
        section = (
            f"auth:\n  token: {{realm: 'http://{server}/token', service: registry, issuer: tests, "
            f"rootcertbundle: {certificate}}}"
        )
        with registries.serve(tmp_path / "registry", token=section) as host:
            yield host, state


def test_a_registry_that_wants_tokens(
    tokens: tuple[str, Tokens], org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, state = tokens
    bundle = make_bundle(tmp_path / "release", org)
    (outcome, *_) = send(bundle, host)
    assert (outcome.state, "no token" in outcome.why) == (State.FAILED, True)
    with fault_proxy(host) as proxy:
        monkeypatch.setenv(
            "DOCKER_CONFIG", str(docker_config(tmp_path / "login", **{proxy.host: basic("mira", "pass")}))
        )
        state.asked.clear()
        # A token that the registry does not take any more is got again, in the middle of all.
        challenge = f'WWW-Authenticate: Bearer realm="{realm(proxy.host)}",service="registry"\r\n'
        proxy.faults = [Fault("401", lambda method, path: method == "PATCH", times=1, headers=challenge)]
        outcomes = send(bundle, proxy.host)
        assert {each.state for each in outcomes} == {State.SENT}, outcomes
    scopes = [scope for _, scope in state.asked]
    assert (f"repository:{org}/os-kernel:pull,push",) in scopes
    assert len(scopes) == 4 + 2 + 1  # one for each repository, for each mount, and the one again


def realm(host: str) -> str:
    import re  # noqa: PLC0415

    import requests  # noqa: PLC0415

    challenge = requests.get(f"http://{host}/v2/", timeout=10).headers["WWW-Authenticate"]
    (found,) = re.findall(r'realm="([^"]+)"', challenge)
    return str(found)


def test_another_server_does_not_get_to_know_who_we_are(
    org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that sends blobs elsewhere: that asks for a login, and for a token, and gets neither."""
    asked: list[str | None] = []

    class Elsewhere(Handler):
        def do_PATCH(self) -> None:
            self.body()
            asked.append(self.headers.get("Authorization"))
            self.say(401, b"", **{"WWW-Authenticate": f'Bearer realm="http://{self.headers["Host"]}/token"'})

        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization"))
            self.say(200, b'{"token": "x"}')

    class Leading(Handler):
        def do_GET(self) -> None:
            if "Authorization" not in self.headers:
                self.say(401, b"", **{"WWW-Authenticate": 'Basic realm="here"'})
            elif self.path == "/v2/":
                self.say(200)
            else:
                self.say(404, b'{"errors": [{"code": "UNKNOWN"}]}')

        def do_POST(self) -> None:
            self.say(202, Location=f"http://{elsewhere}/upload")

        do_HEAD = do_GET

    with serving(Elsewhere) as elsewhere, serving(Leading) as host:
        monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path / "login", **{host: basic("mira", "pass")})))
        (outcome, *_) = send(make_bundle(tmp_path / "release", org), host)
    assert (outcome.state, "denied" in outcome.why) == (State.FAILED, True)
    assert asked
    assert set(asked) == {None}
