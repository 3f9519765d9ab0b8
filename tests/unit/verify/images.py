"""Archives of `docker save` made by hand, in both layouts."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Files = Mapping[str, bytes | str | None]
"""Name to the file's content, to a link's target (text), or None for a folder; programs are what has `bin` in it."""


def layer(files: Files, *, hard: Mapping[str, str] | None = None) -> bytes:
    """A layer: a tar archive; `hard` are hard links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type = {type(None): tarfile.DIRTYPE, str: tarfile.SYMTYPE}.get(type(content), tarfile.REGTYPE)
            info.linkname = content if isinstance(content, str) else ""
            info.mode = 0o755 if content is None or "bin" in name or name.endswith(".sh") else 0o644
            info.size = len(content) if isinstance(content, bytes) else 0
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
        for name, target in (hard or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.LNKTYPE, target
            tar.addfile(info)
    return out.getvalue()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def oci(path: Path, layers: Sequence[bytes], config: Mapping[str, Any], *, nested: bool = False) -> str:
    """Write an OCI image layout, its layers compressed; `nested`: behind an index, beside an attestation.

    Returns:
        The digest of the manifest.
    """
    blobs: dict[str, bytes] = {}

    def blob(content: bytes) -> dict[str, Any]:
        blobs[digest(content)] = content
        return {"digest": digest(content), "size": len(content)}

    packed = [blob(gzip.compress(each, mtime=0)) for each in layers]
    manifest = blob(_json({"config": blob(_json(config)), "layers": packed}))
    top = {"manifests": [manifest]}
    if nested:
        note = blob(_json({"config": blob(b"{}"), "layers": []}))
        note["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
        other = {"digest": digest(b"arm64"), "platform": {"architecture": "arm64"}}
        top = {"manifests": [blob(_json({"manifests": [manifest, note, other]}))]}
    files = {f"blobs/{name.replace(':', '/')}": content for name, content in blobs.items()}
    path.write_bytes(layer({**files, "index.json": _json(top), "oci-layout": b"{}"}))
    return str(manifest["digest"])


def docker_archive(path: Path, layers: Sequence[bytes], config: Mapping[str, Any]) -> str:
    """Write the layout of older engines.

    Returns:
        The digest of the config.
    """
    content = _json(config)
    name = f"{digest(content).removeprefix('sha256:')}.json"
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = _json([{"Config": name, "RepoTags": ["a:b"], "Layers": names}])
    path.write_bytes(layer({**dict(zip(names, layers, strict=True)), name: content, "manifest.json": manifest}))
    return digest(content)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
