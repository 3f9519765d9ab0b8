"""Servers that take files: one that speaks WebDAV (or PUT alone), and the releases of GitHub's API."""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.conftest import serving


class Handler(BaseHTTPRequestHandler):
    """What both have in common."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer in one piece, or TCP waits for an acknowledgement between the pieces

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Dav:
    """What a server does, and what was asked of it."""

    root: Path
    webdav: bool = True
    authorization: str = ""
    damage: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@contextmanager
def dav(root: Path, **options: Any) -> Iterator[tuple[str, Dav]]:
    """`http://HOST:PORT` of a server over a folder.

    Args:
        webdav: It has collections and MOVE (RFC 4918); else it has GET and PUT alone, and makes folders by itself.
        authorization: The header that it wants.
        damage: A name; what is put there by the name's end is not what comes back.
    """
    state = Dav(root, **options)

    class Files(Handler):
        def do_any(self) -> None:
            data = self.body()
            path = urllib.parse.unquote(self.path)
            state.requests.append((self.command, path))
            target = root / path.strip("/")
            assert root in (target, *target.parents)
            if state.authorization and self.headers.get("Authorization") != state.authorization:
                self.say(401)
                return
            method = getattr(self, f"on_{self.command.lower()}")
            method(target, data)

        def on_get(self, target: Path, _: bytes) -> None:
            self.say(200, target.read_bytes()) if target.is_file() else self.say(404)

        on_head = on_get

        def on_put(self, target: Path, data: bytes) -> None:
            if state.webdav and not target.parent.is_dir():
                self.say(409)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            broken = state.damage and state.damage in target.name
            target.write_bytes(data[:-1] if broken else data)
            self.say(201)

        def on_mkcol(self, target: Path, _: bytes) -> None:
            if not state.webdav or target.exists():
                self.say(405)
            elif not target.parent.is_dir():
                self.say(409)
            else:
                target.mkdir()
                self.say(201)

        def on_move(self, target: Path, _: bytes) -> None:
            if not state.webdav:
                self.say(501)
                return
            if not target.is_file():
                self.say(404)
                return
            goal = root / urllib.parse.unquote(urllib.parse.urlsplit(self.headers["Destination"]).path).strip("/")
            shutil.move(target, goal)
            self.say(201)

        def on_delete(self, target: Path, _: bytes) -> None:
            target.unlink(missing_ok=True)
            self.say(204)

        do_GET = do_HEAD = do_PUT = do_MKCOL = do_MOVE = do_DELETE = do_any

    root.mkdir(parents=True, exist_ok=True)
    with serving(Files) as host:
        yield f"http://{host}", state


@dataclass
class Github:
    """The releases of one repository."""

    token: str
    releases: dict[int, dict[str, Any]] = field(default_factory=dict)
    assets: dict[int, dict[str, Any]] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    fail: list[str] = field(default_factory=list)
    digests: bool = True
    upload_base: str = ""
    next: int = 1

    def number(self) -> int:
        self.next += 1
        return self.next

    def files(self, tag: str) -> dict[str, bytes]:
        (release,) = (each for each in self.releases.values() if each["tag_name"] == tag)
        return {
            asset["name"]: self.data[number]
            for number, asset in self.assets.items()
            if asset["release"] == release["id"] and asset["state"] == "uploaded"
        }


@contextmanager
def github(repository: str, token: str) -> Iterator[tuple[str, Github]]:
    """The base URL of an API with the releases of a repository.

    What `fail` of its state names fails once: `create`, `answer` (a draft is made, and nobody hears of it), a file,
    `publish`.
    """
    state = Github(token)

    class Api(Handler):
        def do_any(self) -> None:
            data = self.body()
            url = urllib.parse.urlsplit(self.path)
            state.requests.append((self.command, self.path))
            if self.headers.get("Authorization") != f"Bearer {state.token}":
                self.say(401, b'{"message": "Bad credentials"}')
                return
            top = f"/repos/{repository}/releases"
            if not url.path.startswith(top):
                self.say(404, b'{"message": "Not Found"}')
                return
            parts = [part for part in url.path.removeprefix(top).split("/") if part]
            self.act(parts, dict(urllib.parse.parse_qsl(url.query)), data)

        def act(self, parts: list[str], query: dict[str, str], data: bytes) -> None:
            match self.command, parts:
                case "GET", []:
                    self.json(200, self.page(list(state.releases.values()), query))
                case "POST", []:
                    if self.failing("create"):
                        return
                    fields = json.loads(data)
                    number = state.number()
                    base = state.upload_base or f"http://{self.headers['Host']}/repos/{repository}/releases"
                    state.releases[number] = {
                        **fields,
                        "id": number,
                        "upload_url": f"{base}/{number}/assets{{?name,label}}",
                        "html_url": f"https://github.example/{repository}/releases/{fields['tag_name']}",
                    }
                    if not self.failing("answer"):
                        self.json(201, state.releases[number])
                case "PATCH", [number]:
                    if self.failing("publish"):
                        return
                    state.releases[int(number)] |= json.loads(data)
                    self.json(200, state.releases[int(number)])
                case "GET", [number, "assets"]:
                    listed = [each for each in state.assets.values() if each["release"] == int(number)]
                    self.json(200, self.page(listed, query))
                case "POST", [number, "assets"]:
                    self.upload(int(number), query["name"], data)
                case "DELETE", ["assets", number]:
                    del state.assets[int(number)]
                    self.say(204)
                case "GET", ["assets", number]:
                    self.say(200, state.data[int(number)])
                case _:
                    self.json(404, {"message": "Not Found"})

        def upload(self, release: int, name: str, data: bytes) -> None:
            named = [each for each in state.assets.values() if each["release"] == release and each["name"] == name]
            if named:
                self.json(422, {"message": "Validation Failed: already_exists"})
                return
            number = state.number()
            asset = {"id": number, "name": name, "release": release, "size": len(data), "state": "uploaded"}
            if state.digests:
                asset["digest"] = f"sha256:{hashlib.sha256(data).hexdigest()}"
            state.assets[number], state.data[number] = asset, data
            if self.failing(name):  # as GitHub does: the beginning stays, as a `starter`
                asset |= {"state": "starter", "size": 0}
                return
            self.json(201, asset)

        def failing(self, what: str) -> bool:
            if what not in state.fail:
                return False
            state.fail.remove(what)
            self.say(502, b"<html>Unicorn!</html>")
            return True

        def page(self, things: list[Any], query: dict[str, str]) -> list[Any]:
            size, number = int(query["per_page"]), int(query["page"])
            return things[size * (number - 1) : size * number]

        def json(self, status: int, value: object) -> None:
            self.say(status, json.dumps(value).encode())

        do_GET = do_POST = do_PATCH = do_DELETE = do_any

    with serving(Api) as host:
        yield f"http://{host}", state
