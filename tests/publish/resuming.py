"""A registry that resumes uploads (distribution-spec, "Pushing a blob in chunks"): docker-registry 2.8 does not."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.conftest import serving


@dataclass
class Upload:
    """One upload: where each attempt began, and the bytes that came."""

    data: bytearray = field(default_factory=bytearray)
    starts: list[int] = field(default_factory=list)
    received: int = 0
    size: int = 0


@contextmanager
def resuming_registry(*, cut: int) -> Iterator[tuple[str, dict[str, Upload]]]:
    """`host:port` of a registry that breaks each PATCH after `cut` bytes, and keeps these."""
    uploads: dict[str, Upload] = {}
    blobs: set[tuple[str, str]] = set()
    manifests: dict[tuple[str, str], tuple[str, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        default_request_version = "HTTP/1.1"

        def say(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers and status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def absent(self) -> None:
            self.say(404, json.dumps({"errors": [{"code": "UNKNOWN"}]}).encode())

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))

        def do_GET(self) -> None:
            path = self.path
            if path == "/v2/":
                self.say(200)
            elif match := re.fullmatch(r"/v2/(.+)/blobs/uploads/(\w+)", path):
                held = uploads[match[2]].data
                self.say(204, Range=f"0-{max(0, len(held) - 1)}", Location=path)
            elif match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
                found = manifests.get((match[1], match[2]))
                if found is None:
                    self.absent()
                else:
                    self.say(200, found[1], Content_Type=found[0])
            else:
                match = re.fullmatch(r"/v2/(.+)/blobs/(.+)", path)
                self.say(200, Content_Length=blob_size(match[2])) if match and (
                    match[1],
                    match[2],
                ) in blobs else self.absent()

        do_HEAD = do_GET

        def do_POST(self) -> None:
            number = secrets.token_hex(8)
            uploads[number] = Upload()
            repository = urllib.parse.urlsplit(self.path).path.removesuffix("/blobs/uploads/")
            self.say(202, Location=f"{repository}/blobs/uploads/{number}")

        def do_PATCH(self) -> None:
            upload = uploads[self.path.rpartition("/")[2]]
            start = int(self.headers.get("Content-Range", "0-").partition("-")[0])
            assert start == len(upload.data)
            length = int(self.headers["Content-Length"])
            upload.starts.append(start)
            upload.size = start + length
            upload.data += self.rfile.read(min(cut, length))
            upload.received += min(cut, length)
            if length > cut:
                self.close_connection = True
                self.connection.shutdown(2)
                return
            self.say(202, Location=self.path, Range=f"0-{len(upload.data) - 1}")

        def do_PUT(self) -> None:
            data = self.body()
            parts = urllib.parse.urlsplit(self.path)
            if match := re.fullmatch(r"/v2/(.+)/blobs/uploads/(\w+)", parts.path):
                (digest,) = urllib.parse.parse_qs(parts.query)["digest"]
                held = bytes(uploads[match[2]].data) + data
                if f"sha256:{hashlib.sha256(held).hexdigest()}" != digest:
                    self.say(400)
                    return
                sizes[digest] = len(held)
                blobs.add((match[1], digest))
                self.say(201)
            elif match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", parts.path):
                entry = (self.headers["Content-Type"], data)
                manifests[match[1], match[2]] = entry
                manifests[match[1], f"sha256:{hashlib.sha256(data).hexdigest()}"] = entry
                self.say(201)

        def log_message(self, format: str, *args: object) -> None:
            pass

    sizes: dict[str, int] = {}

    def blob_size(digest: str) -> str:
        return str(sizes[digest])

    with serving(Handler) as host:
        yield host, uploads
