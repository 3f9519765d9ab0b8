"""Real registries (Debian's docker-registry), with and without TLS and a password, and what is in them."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from builder.publish.registry import ACCEPT

USER, PASSWORD = "mira", "s3cret pass"
# bcrypt of PASSWORD, which is the one kind that docker-registry takes.
HTPASSWD = "mira:$2b$04$kowq72.m9Xkne655PH48a.9BoKu2jhxIlZ8kBL/UoW046XYRGj7S2\n"


@dataclass(frozen=True)
class Tls:
    """A private CA and a certificate of it for localhost."""

    ca: Path
    certificate: Path
    key: Path


def make_tls(folder: Path, name: str = "localhost") -> Tls:
    """Made with openssl."""

    def openssl(*words: str | Path) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True)

    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    key, request, certificate = folder / "key.pem", folder / "request.pem", folder / "certificate.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", "3650", "-subj", "/CN=a private CA")
    openssl("req", *curve, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
    names = folder / "names"
    names.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", certificate,
            "-days", "3650", "-extfile", names)  # fmt: skip
    return Tls(ca=ca, certificate=certificate, key=key)


@contextmanager
def serve(storage: Path, *, tls: Tls | None = None, htpasswd: str = "", token: str = "") -> Iterator[str]:
    """`localhost:PORT` of a registry.

    Args:
        htpasswd: The content of such a file, to want a password.
        token: The section `auth` of its configuration, for tokens.
    """
    storage.mkdir(parents=True, exist_ok=True)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    lines = ["version: 0.1", f"storage: {{filesystem: {{rootdirectory: {storage / 'data'}}}}}", "http:"]
    lines += [f"  addr: 127.0.0.1:{port}"]
    if tls:
        lines += [f"  tls: {{certificate: {tls.certificate}, key: {tls.key}}}"]
    if htpasswd:
        (storage / "htpasswd").write_text(htpasswd)
        lines += ["auth:", f"  htpasswd: {{realm: here, path: {storage / 'htpasswd'}}}"]
    (storage / "config.yml").write_text("\n".join([*lines, token, ""]))
    with (storage / "log").open("wb") as log:
        words = ["docker-registry", "serve", str(storage / "config.yml")]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        for _attempt in range(100):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail(f"docker-registry did not start: {(storage / 'log').read_text()}")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Look:
    """Looks at a registry, by nothing of rosk's."""

    host: str
    tls: Tls | None = None
    login: tuple[str, str] | None = None

    def get(self, path: str, method: str = "GET") -> requests.Response:
        scheme = "https" if self.tls else "http"
        return requests.request(
            method,
            f"{scheme}://{self.host}/v2/{path}",
            headers={"Accept": ACCEPT},
            verify=str(self.tls.ca) if self.tls else True,
            auth=self.login,
            timeout=30,
        )

    def tags(self, repository: str) -> set[str]:
        answer = self.get(f"{repository}/tags/list")
        return set(answer.json()["tags"] or ()) if answer.status_code == 200 else set()

    def manifest(self, repository: str, reference: str) -> tuple[str, dict[str, Any]]:
        answer = self.get(f"{repository}/manifests/{reference}")
        assert answer.status_code == 200, (repository, reference, answer.text)
        return answer.headers["Docker-Content-Digest"], json.loads(answer.content)

    def complete(self, repository: str, reference: str) -> set[str]:
        """The digests of all that a reference leads to; each of them is there."""
        digest, document = self.manifest(repository, reference)
        found = {digest}
        for entry in document.get("manifests", ()):
            found |= self.complete(repository, entry["digest"])
        for entry in [document["config"], *document["layers"]] if "config" in document else ():
            answer = self.get(f"{repository}/blobs/{entry['digest']}", "HEAD")
            assert answer.status_code == 200, (repository, reference, entry["digest"])
            assert int(answer.headers["Content-Length"]) == entry["size"]
            found.add(entry["digest"])
        return found


def docker_config(folder: Path, **auths: dict[str, str]) -> Path:
    """A folder for DOCKER_CONFIG."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    return folder


def basic(user: str, password: str) -> dict[str, str]:
    """An entry of docker's `auths`."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
