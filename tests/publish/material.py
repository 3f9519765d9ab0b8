"""Releases to publish: real bytes in real layouts, small, and with no engine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from builder.arch import ARCHES
from builder.inputs.fetch import Patience
from builder.publish.artifact import RELEASE_NAME, add_release, release_files
from builder.publish.content import DOCKER_MANIFEST, Blob, Descriptor, Store, compact
from builder.publish.plan import Part
from builder.publish.run import PublishOptions, publish_bundle
from builder.publish.sources import Bundle, Release
from builder.publish.spots import Spots
from builder.publish.transfer import Outcome
from builder.releasefolder import find_release
from builder.settings import Registry

HURRY = Patience(attempts=3, connect_timeout=5, read_timeout=1.5, sleep=lambda _: None)
VERSION = "6.12.99"
NAMES = ("os-extras", "os-headers", "os-kernel")
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass
class Watch:
    """Keeps what it is told."""

    begun: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, target: str, total: int, what: str) -> None:
        self.begun[target] = total

    def advance(self, target: str, size: int) -> None:
        with self.lock:
            self.sent[target] = self.sent.get(target, 0) + size

    def note(self, target: str, line: str) -> None:
        self.lines.append(line)


def add_image(store: Store, arch: str, layers: Sequence[bytes]) -> Descriptor:
    """An image as docker keeps it, of layers that are taken as they are."""
    oci = ARCHES[arch].oci
    diffs = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = compact(
        {"architecture": oci, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs}}
    )
    listed = [store.add_bytes(layer, _LAYER).as_json() for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": store.add_bytes(config, _CONFIG).as_json(),
        "layers": listed,
    }
    found = store.add_bytes(compact(manifest), DOCKER_MANIFEST)
    platform = {"architecture": oci, "os": "linux"}
    return Descriptor(media_type=found.media_type, digest=found.digest, size=found.size, platform=platform)


def make_dist(root: Path, org: str, arch: str = "x86", *, seed: int = 1, images: dict[str, str] | None = None) -> Path:
    """A folder that looks like a release, and would not pass `rosk verify`."""
    v = f"{VERSION}-{org}"
    kernel = root / "kernel"
    kernel.mkdir(parents=True)
    rand = random.Random(f"{arch}{seed}")
    for name in (f"linux-{v}-{arch}.tar.gz", f"extra-linux-{v}-{arch}.tar.gz", f"build-linux-{v}-{arch}.tar.gz"):
        (kernel / name).write_bytes(gzip.compress(rand.randbytes(40_000), mtime=0))
    (kernel / f"linux-{v}-{arch}-src.tgz").write_bytes(rand.randbytes(20_000))
    (kernel / "config").write_text(f"CONFIG_MODULES=y\n# {seed}\n")
    (kernel / "modules-main.list").write_text("kernel/fs/ext4/ext4.ko\n")
    (kernel / "modules-extra.list").write_text("")
    tags = [f"{org}/{name}:{v}{ARCHES[arch].tag_suffix}" for name in NAMES]
    (root / "images").write_text("".join(f"{tag}\n" for tag in tags))
    manifest = {"release": v, "arch": arch, "images": images or {}}
    (root / "manifest.json").write_text(json.dumps(manifest))
    resum(root)
    return root


def resum(root: Path) -> None:
    files = [*sorted((root / "kernel").iterdir()), root / "manifest.json"]
    lines = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.relative_to(root)}\n" for each in files]
    (root / "SHA256SUMS").write_text("".join(lines))


def make_bundle(root: Path, org: str, arches: Sequence[str] = ("x86",), *, seed: int = 1, size: int = 60_000) -> Bundle:
    """A release of some architectures with its three images, which share a layer.

    Args:
        root: Receives its folders.
        size: Bytes of an image's own layer.
    """
    bundle = Bundle()
    for arch in arches:
        rand = random.Random(f"{arch}{seed}")
        shared = rand.randbytes(size // 2)
        dist = make_dist(root / arch, org, arch, seed=seed)
        folder = find_release(dist)
        release = Release(folder=folder, files=release_files(folder))
        bundle.releases.append(release)
        for name in NAMES:
            target = add_image(bundle.store, arch, [shared, rand.randbytes(size)])
            bundle.parts.append(Part(repository=f"{org}/{name}", v=folder.v, arch=ARCHES[arch], target=target))
        target = add_release(bundle.store, folder, release.files)
        bundle.parts.append(
            Part(repository=f"{org}/{RELEASE_NAME}", v=folder.v, arch=ARCHES[arch], target=target, indexed=False)
        )
    return bundle


def send(
    bundle: Bundle,
    *hosts: str | Registry,
    watch: Watch | None = None,
    moving: tuple[str, ...] = (),
    overwrite: bool = False,
    dry_run: bool = False,
    patience: Patience = HURRY,
    **spots: tuple[object, ...],
) -> list[Outcome]:
    """Publish a bundle to registries (`host[:port][/prefix]`) and other places."""
    registries = tuple(Registry.model_validate(host) for host in hosts)
    options = PublishOptions(moving=moving, overwrite=overwrite, dry_run=dry_run, patience=patience)
    where = Spots(registries=registries, **spots)  # type: ignore[arg-type]
    return publish_bundle(bundle, where, options, watch=watch or Watch())


def save_archive(path: Path, store: Store, image: Descriptor, name: str) -> None:
    """An archive as `docker save` writes it."""
    document = store.document(image.digest)
    blobs = [image.digest, document["config"]["digest"], *(layer["digest"] for layer in document["layers"])]
    index = {"schemaVersion": 2, "manifests": [{**image.as_json(), "annotations": {"io.containerd.image.name": name}}]}
    files = {f"blobs/{digest.replace(':', '/')}": store.blob(digest).read() for digest in blobs}
    with tarfile.open(path, "w") as tar:
        for member, data in {**files, "index.json": compact(index), "oci-layout": b"{}"}.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def big_blob(folder: Path, size: int) -> Blob:
    """A file of so many bytes, as a blob; made in pieces."""
    file, rand, digest = folder / "big", random.Random(5), hashlib.sha256()
    piece = rand.randbytes(1 << 20)
    with file.open("wb") as out:
        for number in range(size >> 20):
            part = number.to_bytes(8, "big") + piece[8:]
            digest.update(part)
            out.write(part)
    return Blob(digest=f"sha256:{digest.hexdigest()}", size=file.stat().st_size, file=file)
