"""The images in the engine: they hold what the packages hold, and start as the OS's services expect.

See builder/stages/imageroot.py for how they are made. The engine only hands them out; all is read here.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from builder.arch import ARCHES
from builder.differ import Member, index
from builder.engine.docker import Docker
from builder.engine.probe import probe
from builder.errors import EngineError, InputError
from builder.imagearchive import Image, read_image
from builder.verify.model import Finding, Status, check, count, skipped, verdict
from builder.verify.subject import Subject

_NAME = re.compile(r"(?:^|/)os-(?P<kind>extras|headers|kernel):")
ARCHIVES = {
    "extras": {"/extras.tar.gz": "extras"},
    "headers": {"/build.tar.gz": "headers"},
    "kernel": {"/kernel.tar": "kernel", "/kernel-dev.tar": "headers"},
}
"""By image: the archives in it, and the packages that they are."""
SCRIPTS = {"extras": "/usr/bin/extra.sh", "headers": "/headers.sh"}
TOOLS = {"extras": ("tar", "gzip", "depmod"), "headers": ("tar", "gzip")}
"""Programs that a script runs; of depmod also the folder matters, see dockerfiles/images/extra.sh."""
_FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
_SHOWN = 5


@check(
    "images", meaning="the OS installs other modules or headers from an image than those of the packages", cheap=False
)
def images(subject: Subject) -> Finding:
    """Each image that the file `images` names: its archives, its script and tools, its settings, its digest."""
    release = subject.release
    if not release.images:
        return skipped("the release names no images")
    state = probe()
    if state.engine is None:
        return Finding(status=Status.UNCHECKED, saw=f"no container engine answers: {state.refusal or state.endpoint}")
    engine = Docker(context=state.context)
    absent, wrong = [], []
    for tag in release.images:
        try:
            if engine.image_id(tag) is None:
                absent.append(tag)
                continue
            with TemporaryDirectory(prefix="image-", dir=subject.work) as folder:
                archive = Path(folder, "image.tar")
                engine.save(tag, archive)
                wrong += check_image(subject, tag, archive, exact=state.containerd_store)
        except EngineError as error:
            return Finding(status=Status.UNCHECKED, saw=f"{tag} cannot be had: {error.what}")
    if absent and not wrong:
        return Finding(status=Status.UNCHECKED, saw=f"the engine does not have {', '.join(absent)}")
    without = f", without {', '.join(absent)}, which the engine does not have" if absent else ""
    return verdict(f"{count(len(release.images) - len(absent), 'image')}, by their files and settings{without}", wrong)


def check_image(subject: Subject, tag: str, archive: Path, *, exact: bool) -> list[str]:
    """What is wrong with one image.

    Args:
        tag: Its tag in the file `images`.
        archive: What `docker save` wrote of it.
        exact: The engine kept its manifest as it was made (containerd's image store does), so that its digest counts.
    """
    match = _NAME.search(tag)
    if not match:
        return [f"{tag} is none of os-extras, os-headers, os-kernel"]
    kind = match["kind"]
    taken = {path: archive.parent / path[1:] for path in ARCHIVES[kind]}
    try:
        image = read_image(archive, take=taken)
    except InputError as error:
        return [f"{tag}: {error.what}"]
    wrong = [*_settings(subject, tag, image, exact=exact), *_started(kind, image)]
    for path, package in ARCHIVES[kind].items():
        wrong += _archive(subject, image, path, taken[path], package)
    if kind == "kernel":
        wrong += _boot_files(subject, image)
    return [f"{tag}: {line}" for line in wrong]


def _settings(subject: Subject, tag: str, image: Image, *, exact: bool) -> Iterator[str]:
    """The image's environment, architecture and digest."""
    v = image.environment.get("KERNEL_VERSION")
    if v != subject.release.v:
        yield f"KERNEL_VERSION is {v!r}" if v else "it sets no KERNEL_VERSION"
    arch = ARCHES.get(subject.release.a)
    if arch and image.config.get("architecture") != arch.oci:
        yield f"its architecture is {image.config.get('architecture')!r}, not {arch.oci}"
    listed = subject.release.manifest.get("images")
    digest = listed.get(tag) if isinstance(listed, dict) else None
    if exact and digest and digest not in image.digests:
        yield f"the engine's image is not the release's, {digest}"


def _started(kind: str, image: Image) -> Iterator[str]:
    """What a service starts, and runs then."""
    script = SCRIPTS.get(kind)
    if script is None:
        return
    found = image.find(script)
    if found is None or found.kind != "file" or not found.mode & 0o111:
        yield f"there is no program {script}"
    settings = image.config.get("config") or {}
    words = [*(settings.get("Entrypoint") or ()), *(settings.get("Cmd") or ())]
    if not any(str(word).endswith(Path(script).name) for word in words):
        yield f"it starts {words or 'nothing'}, not {script}"
    for tool in TOOLS[kind]:
        there = [file for folder in _FOLDERS if (file := image.find(f"{folder}/{tool}"))]
        if not any(file.kind == "file" and file.mode & 0o111 for file in there):
            yield f"there is no {tool}"


def _archive(subject: Subject, image: Image, path: str, copy: Path, package: str) -> Iterator[str]:
    """An archive of the image against the package that it is: the same bytes, or the same members."""
    file, original = image.files.get(path), subject.release.packages.get(package)
    if file is None or file.kind != "file":
        yield f"there is no {path}"
    elif original is None:
        yield f"{path} cannot be compared: there is no {package} package"
    elif file.sha256 != subject.sha256(original):
        if path.endswith(".gz") and original.name.endswith(".gz"):
            yield f"{path} is not the {package} package"
            return
        top = f"usr/src/linux-headers-{subject.release.v}" if path == "/kernel-dev.tar" else ""
        if damage := subject.contents(package).damage:
            yield f"{path} cannot be compared: the {package} package cannot be read: {damage}"
            return
        try:
            yield from _unlike(path, index(copy), index(original), top)
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            yield f"{path} or the {package} package cannot be read: {error}"


def _unlike(path: str, members: Mapping[str, Member], package: Mapping[str, Member], top: str) -> Iterator[str]:
    """Members that an archive and a package do not share, those of the package being below `top` in the archive."""
    if top:
        expected = {top + name.removeprefix("."): member for name, member in package.items()}
        parents = {str(parent) for parent in Path(top).parents} | {top}
        members = {name: member for name, member in members.items() if name not in parents}
    else:
        expected = dict(package)
    unlike = sorted(name for name in members.keys() | expected.keys() if members.get(name) != expected.get(name))
    if unlike:
        more = " …" if len(unlike) > _SHOWN else ""
        yield f"{path} differs from its package in {count(len(unlike), 'member')}: {', '.join(unlike[:_SHOWN])}{more}"


def _boot_files(subject: Subject, image: Image) -> Iterator[str]:
    """The kernel and System.map, which LinuxKit takes as files, against the kernel package's."""
    boot, v = subject.tree("kernel") / "boot", subject.release.v
    for path, name in (("/kernel", f"vmlinuz-{v}"), ("/System.map", f"System.map-{v}")):
        file = image.files.get(path)
        content = (boot / name).read_bytes() if (boot / name).is_file() else None
        if file is None or file.kind != "file":
            yield f"there is no {path}"
        elif content is None or file.sha256 != hashlib.sha256(content).hexdigest():
            yield f"{path} is not boot/{name} of the kernel package"
