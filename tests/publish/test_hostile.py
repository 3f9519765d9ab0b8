"""A registry that lies, and one that wants to be believed: what is pulled is a release, or nothing is."""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from builder.arch import ARCHES
from builder.errors import FetchError, InputError, RoskError
from builder.publish.artifact import RELEASE_NAME, add_release, release_files
from builder.publish.content import OCI_MANIFEST, Store, compact, digest_of
from builder.publish.http import LONGEST_WAIT, Failure, Http, refusal
from builder.publish.plan import Part
from builder.publish.pull import Pulled, pull
from builder.publish.registry import RegistryClient
from builder.publish.sources import Bundle
from builder.publish.targets.folder import FolderTarget
from builder.releasefolder import find_release
from builder.settings import Registry
from tests.conftest import run_rosk, serving
from tests.publish.material import HURRY, NAMES, VERSION, make_bundle, make_dist, resum, send
from tests.publish.registries import Look
from tests.publish.servers import Handler
from tests.publish.test_layouts import carried, contents, hostile, relay

MANIFEST = f"/v2/acme/{RELEASE_NAME}/manifests/1"


@dataclass
class Liar:
    """A registry that says what it is told to: by path, or method and path, a status, a body and headers."""

    answers: dict[str, tuple[int, bytes, dict[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    host: str = ""

    def offer(self, document: object, store: Store) -> None:
        """A manifest under the tag, and all blobs."""
        data = document if isinstance(document, bytes) else compact(document)  # type: ignore[arg-type]
        self.answers[MANIFEST] = (200, data, {"Content-Type": OCI_MANIFEST})
        for layer in json.loads(data).get("layers", ()) if not isinstance(document, bytes) else ():
            blob = store.blob(layer["digest"])
            self.answers[f"/v2/acme/{RELEASE_NAME}/blobs/{blob.digest}"] = (200, blob.read(), {})


@pytest.fixture
def liar() -> Iterator[Liar]:
    state = Liar({"/v2/": (200, b"{}", {})})

    class Said(Handler):
        def do_GET(self) -> None:
            self.body()
            state.asked.append((self.path, self.headers.get("Authorization", "")))
            told = state.answers.get(f"{self.command} {self.path}") or state.answers.get(self.path)
            status, body, headers = told or (404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', {})
            self.say(status, body, **headers)

        do_HEAD = do_POST = do_PATCH = do_GET

    with serving(Said) as host:
        state.host = host
        yield state


def get(liar: Liar, into: Path) -> Pulled:
    return pull(
        f"{liar.host}/acme/{RELEASE_NAME}:1",
        into=into,
        registry=lambda host: Registry(host=host, plain_http=True),
        note=lambda _: None,
        http=lambda _: Http(patience=HURRY),
    )


def document_of(tmp_path: Path, org: str) -> tuple[dict[str, Any], Store]:
    bundle = make_bundle(tmp_path / "one", org)
    return bundle.store.document(bundle.parts[-1].target.digest), bundle.store


def test_a_liar_that_tells_the_truth(liar: Liar, org: str, tmp_path: Path) -> None:
    liar.offer(*document_of(tmp_path, org))
    get(liar, tmp_path / "there")
    assert contents(tmp_path / "there") == contents(tmp_path / "one/x86")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"[]", b"null", b'"x"', b"[" * 100_000, b"1" * 5000, b'{"artifactType": {}}'],
    ids=["empty", "html", "bytes", "list", "null", "text", "deep", "long", "type"],
)
def test_what_is_no_manifest(body: bytes, liar: Liar, tmp_path: Path) -> None:
    liar.offer(body, Store())
    with pytest.raises((InputError, FetchError)):
        get(liar, tmp_path / "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("size", [10**19, -1, True, 0, None, "5", 1e400])
def test_sizes_that_are_none(size: object, liar: Liar, org: str, tmp_path: Path) -> None:
    document, store = document_of(tmp_path, org)
    document["layers"][0]["size"] = size
    liar.offer(document, store)
    with pytest.raises((InputError, FetchError)):
        get(liar, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_deep_answer_is_the_failure_of_its_registry(liar: Liar, org: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "one", org)
    tag = f"/v2/{org}/os-extras/manifests/{VERSION}-{org}"
    for status, body in itertools.product((200, 404), (b'{"manifests":' + b"[" * 100_000, b'{"manifests": 3}')):
        liar.answers[tag] = (status, body, {"Content-Type": OCI_MANIFEST})
        states = {outcome.state.value for outcome in send(bundle, liar.host)}
        assert states <= {"failed", "refused", "not sent"}


@pytest.mark.parametrize("name", ["verify.json", "boot.json", "build.json", "report.html", "kernel-notes"])
def test_what_only_this_machine_can_say_is_not_taken(name: str, org: str, tmp_path: Path) -> None:
    """The gate believes `verify.json`: a stranger's must never become that of a release."""
    with pytest.raises(InputError) as caught:
        relay(Path(hostile(tmp_path, org, name).removeprefix("oci:")), "localhost:1")
    assert caught.value.details == (f"{name} is not in SHA256SUMS",)
    with pytest.raises(FetchError) as pulled:
        carried(tmp_path / "layout", tmp_path / "there")
    assert pulled.value.details == (f"{name} is not in SHA256SUMS",)
    assert str(tmp_path / "layout") in str(pulled.value)  # not a folder that is gone by then
    assert not (tmp_path / "there").exists()


BAD = "https://[x/"
"""No address: what reads it as one raises ValueError."""


def place_of(org: str, name: str) -> str:
    return f"/v2/{org}/{name}"


@pytest.mark.parametrize("what", ["address", "realm", "range"])
def test_a_registry_that_says_what_cannot_be_read_fails_alone(what: str, liar: Liar, org: str, tmp_path: Path) -> None:
    """Neither a traceback, nor an end of what goes elsewhere."""
    for name in (*NAMES, RELEASE_NAME):
        location = BAD if what == "address" else f"http://{liar.host}/up"
        liar.answers[f"POST {place_of(org, name)}/blobs/uploads/"] = (202, b"", {"Location": location})
        if what == "realm":
            tag = f"{place_of(org, name)}/manifests/{VERSION}-{org}"
            liar.answers[tag] = (401, b"", {"WWW-Authenticate": f'Bearer realm="{BAD}"'})
    liar.answers["PATCH /up"] = (503, b"", {})
    liar.answers["GET /up"] = (204, b"", {"Range": f"0-{'9' * 5000}"})
    outcomes = send(make_bundle(tmp_path / "one", org), liar.host, folders=(tmp_path / "releases",))
    states = {(each.target, each.state.value) for each in outcomes}
    assert states == {(liar.host, "failed"), (f"folder:{tmp_path / 'releases'}", "sent")}
    said = {each.why for each in outcomes if each.target == liar.host}
    assert all(("503" if what == "range" else BAD) in why and "report it" not in why for why in said), said


def test_a_realm_that_is_no_address_is_a_failure_of_a_pull(liar: Liar, tmp_path: Path) -> None:
    liar.answers[MANIFEST] = (401, b"", {"WWW-Authenticate": f'Bearer realm="{BAD}"'})
    with pytest.raises(FetchError, match="no good address"):
        get(liar, tmp_path / "there")


def test_an_error_in_rosk_is_the_failure_of_one_place(
    plain: Look, org: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen \x1b[2J")

    bundle, there = make_bundle(tmp_path / "one", org), tmp_path / "releases"
    with monkeypatch.context() as patched:
        patched.setattr(FolderTarget, "publish", wrong)
        outcomes = send(bundle, plain.host, folders=(there,))
    (bad,) = (each for each in outcomes if not each.good)
    assert (bad.target, bad.state.value) == (f"folder:{there}", "failed")
    assert bad.why.startswith("an error in rosk, please report it: RuntimeError: unforeseen ") and "\x1b" not in bad.why
    with monkeypatch.context() as patched:
        patched.setattr(RegistryClient, "open", wrong)
        outcomes = send(bundle, plain.host, folders=(there,))
    assert {(each.target, each.state.value) for each in outcomes} == {
        (plain.host, "failed"),
        (f"folder:{there}", "sent"),
    }


def test_files_that_hold_the_same(liar: Liar, org: str, tmp_path: Path) -> None:
    """Both lists of modules are empty, say: one blob, two files."""
    bundle = make_bundle(tmp_path / "one", org)
    root = tmp_path / "one/x86"
    document = bundle.store.document(bundle.parts[-1].target.digest)
    (root / "same.spdx.json").write_bytes((root / "kernel/modules-extra.list").read_bytes())
    layer = next(each for each in document["layers"] if each["annotations"].popitem()[1] == "kernel/modules-extra.list")
    document, store = bundle.store.document(bundle.parts[-1].target.digest), bundle.store
    document["layers"].append({**layer, "annotations": {"org.opencontainers.image.title": "same.spdx.json"}})
    liar.offer(document, store)
    get(liar, tmp_path / "there")
    assert contents(tmp_path / "there") == contents(root)


def test_what_a_registry_says_does_not_reach_the_terminal_as_commands(liar: Liar, tmp_path: Path) -> None:
    failure = refusal(400, "Bad\x1b]0;owned\x07 \x1b[2J", {}, b'{"message": "x\\u001b[2J \x1b[2J"}')
    assert str(failure).isprintable()
    liar.answers[MANIFEST] = (404, b"", {})
    with pytest.raises(RoskError) as caught:
        get(liar, tmp_path / "there")
    assert str(caught.value).isprintable()


@contextmanager
def raw(*answers: bytes) -> Iterator[str]:
    """A server that says bytes as they are, to whoever connects, until nobody listens."""
    ended = threading.Event()

    def one(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                head = connection.recv(1 << 14)
                answer = answers[0] if b" /v2/ " in head else answers[-1]
                connection.sendall(answer)
                while answer.endswith(b"1000\r\n") and not ended.is_set():
                    connection.sendall(b"x" * 0x1000 + b"\r\n1000\r\n")
            except OSError:
                pass

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found", "500 Error"])
def test_an_answer_without_an_end(status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nLocation: /v2/again\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n".encode()
    with raw(head) as host, pytest.raises(Failure):
        Http(patience=HURRY).request("GET", f"http://{host}/v2/", expect=(200,))


def test_a_wait_that_is_too_long_is_said_at_once() -> None:
    """Nobody sits before a terminal until tomorrow, and to ask again sooner would not honour what was asked for."""
    waited: list[float] = []

    def attempt() -> None:
        raise refusal(429, "Too Many Requests", {"Retry-After": "86400"}, b"")

    http = Http(patience=HURRY)
    http.pause = lambda wait, number: waited.append(wait)  # type: ignore[method-assign]
    with pytest.raises(Failure, match=r"24\.0 h"):
        http.patiently(attempt)
    assert not waited
    for asked in ("9" * 400, "Mon, 01 Jan 0001 00:00:00 -0000", "Fri, 31 Dec 9999 23:59:59 GMT", "\u0661", "-5", "x"):
        failure = refusal(429, "", {"Retry-After": asked}, b"")
        assert failure.wait is None or 0 <= failure.wait <= LONGEST_WAIT


@pytest.mark.parametrize("name", ["../../evil/os-kernel-release", "a/../../os-kernel-release", "UP/os-kernel-release"])
def test_names_of_a_layout_that_lead_elsewhere(name: str, org: str, tmp_path: Path) -> None:
    """A repository of the registry that is not below the prefix, for example."""
    send(make_bundle(tmp_path / "one", org), layouts=(tmp_path / "layout",))
    index = tmp_path / "layout/index.json"
    index.write_text(index.read_text().replace(f"{org}/{RELEASE_NAME}:", f"{name}:"))
    with pytest.raises(InputError):
        relay(tmp_path / "layout", "localhost:1")


@pytest.mark.parametrize("damage", ["[" * 100_000, "{}", '{"manifests": [3]}', "", "\x00"], ids=range(5))
def test_a_layout_whose_index_is_damaged(damage: str, org: str, tmp_path: Path) -> None:
    send(make_bundle(tmp_path / "one", org), layouts=(tmp_path / "layout",))
    (tmp_path / "layout/index.json").write_text(damage)
    with pytest.raises(InputError):
        relay(tmp_path / "layout", "localhost:1")
    states = {each.state.value for each in send(make_bundle(tmp_path / "two", org), layouts=(tmp_path / "layout",))}
    assert states == {"failed"}
    assert digest_of((tmp_path / "layout/index.json").read_bytes()) == digest_of(damage.encode())


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_a_release_that_nobody_trusted_has_signed_is_not_pulled(org: str, tmp_path: Path) -> None:
    """With `trust.keys` in the settings; neither unsigned, nor signed by somebody else, nor changed since."""
    for name in ("good", "other"):
        make: list[str | Path] = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name, "-C", name]
        subprocess.run(make, check=True)
    dist = make_dist(tmp_path / "dist", org)
    project = tmp_path / "project"
    (project / "config").mkdir(parents=True)
    (project / "config/rosk.yaml").write_text(
        f"org: acme\nkernel: {{version: '6.12'}}\ntrust: {{keys: [{tmp_path}/good.pub]}}\n"
    )

    def pulled(name: str) -> str:
        store = Store()
        folder = find_release(dist)
        target = add_release(store, folder, release_files(folder))
        part = Part(repository=f"{org}/{RELEASE_NAME}", v=folder.v, arch=ARCHES["x86"], target=target, indexed=False)
        send(Bundle(store=store, parts=[part]), layouts=(tmp_path / "to" / name,))
        done = run_rosk("pull", f"oci:{tmp_path}/to/{name}", "--into", tmp_path / "there" / name, "-C", project)
        assert (done.code == 0) == (tmp_path / "there" / name).exists(), done.err
        assert done.code in (0, 10), done.err
        assert not list((tmp_path / "there").glob(".rosk-*"))
        return done.err

    assert "not signed" in pulled("unsigned")
    for name in ("other", "good"):
        sums = dist / "SHA256SUMS"
        sums.with_name("SHA256SUMS.sig").unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "rosk", "-f", tmp_path / name, sums], check=True)
        said = pulled(name)
        assert ("no trusted key has signed it" in said) == (name == "other"), said
    (dist / "kernel/config").write_text("CONFIG_EVIL=y\n")
    resum(dist)
    assert "no trusted key has signed it" in pulled("changed")
