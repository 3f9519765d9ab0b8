"""A services repository on loopback, for a try: as a web server would offer it, and nothing else of the folder."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from builder.errors import InputError, InterruptedBuild
from builder.osrepo.changes import read_plain

HOST = "127.0.0.1"
_FILE = re.compile(r"/([A-Za-z0-9][A-Za-z0-9._-]*)/(index\.yml|[A-Za-z0-9]/[A-Za-z0-9][A-Za-z0-9._-]*\.yml)")


def make_server(root: Path, folders: Mapping[str, str], port: int) -> ThreadingHTTPServer:
    """A server for a repository, which listens already.

    Args:
        folders: Branch to its folder below `root`, `""` for the top.
        port: 0 for a free one.

    Raises:
        InputError: The port cannot be had.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            data = _read(root, folders, self.path)
            if data is None:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen on {HOST}:{port}: {error}", hint="give another --port, or 0") from error


def _read(root: Path, folders: Mapping[str, str], path: str) -> bytes | None:
    """The file that a URL's path names; None when there is none that a services repository offers."""
    match = _FILE.fullmatch(urllib.parse.unquote(path.partition("?")[0]))
    folder = folders.get(match[1]) if match else None
    if match is None or folder is None:
        return None
    try:
        return read_plain(root, f"{folder}/{match[2]}" if folder else match[2])
    except InputError:
        return None


def serve(server: ThreadingHTTPServer) -> None:
    """Answer until the user stops it, which is how it ends well."""
    server.daemon_threads = True
    with suppress(InterruptedBuild):
        server.serve_forever()
