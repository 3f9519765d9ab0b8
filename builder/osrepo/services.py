"""The services that an OS runs with the images of a release, and the index that names them.

The files are those of rancher/os-services: `index.yml`, and `FIRST-LETTER/NAME.yml` per service. What is there already
is kept to the byte where it says the same, and otherwise changed in as few lines as possible.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from builder.errors import InputError
from builder.osrepo.versions import OsVersion

INDEX = "index.yml"
LISTS = ("services", "consoles", "engines")
"""The keys of the index."""

_MODULES = ("/usr/src:/usr/src", "/lib/modules:/lib/modules")
_DEPRECATED = "# deprecated: kernel-headers does the same; it is still called by this name\n"


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service of the kernel.

    Attributes:
        name: What `ros service` calls it.
        image: The image that it runs (`os-extras`).
        volumes: What it mounts.
        comment: What its file starts with.
    """

    name: str
    image: str
    volumes: tuple[str, ...]
    comment: str = ""

    @property
    def file(self) -> str:
        """Its path in the repository, which the OS makes of the name."""
        return f"{self.name[0]}/{self.name}.yml"


_HEADERS = (*_MODULES, "/usr/bin/ros:/usr/bin/ros")
SERVICES = (
    Service(name="kernel-extras", image="os-extras", volumes=(*_MODULES, "/lib/firmware:/lib/firmware")),
    Service(name="kernel-headers", image="os-headers", volumes=_HEADERS),
    Service(name="kernel-headers-system-docker", image="os-headers", volumes=_HEADERS, comment=_DEPRECATED),
)


def image_of(service: Service, org: str, version: OsVersion, release: str | None) -> str:
    """The image as the service names it.

    Args:
        release: V, for an OS that does not set `${KERNEL_VERSION}`.
    """
    registry = "${REGISTRY_DOMAIN}/" if version.has_registry else ""
    kernel = "${KERNEL_VERSION}" if version.has_kernel else release
    assert kernel is not None
    return f"{registry}{org}/{service.image}:{kernel}${{SUFFIX}}"


def service_file(service: Service, image: str, before: bytes | None) -> bytes:
    """The file of a service.

    Args:
        before: What the file holds: kept where it says the same; where only the image differs, only its line changes.
    """
    text = (
        f"{service.comment}{service.name}:\n"
        f"  image: {image}\n"
        "  labels:\n"
        '    io.rancher.os.detach: "false"\n'
        '    io.rancher.os.after: "network"\n'
        '    io.rancher.os.scope: "system"\n'
        "  volumes:\n" + "".join(f"  - {volume}\n" for volume in service.volumes)
    ).encode()
    wanted = _load(text)
    if before is None:
        return text
    for kept in (before, re.sub(rb"(?m)^(\s+image:[ \t]*)[^\s#]+", rb"\g<1>" + image.encode(), before, count=1)):
        if _load(kept) == wanted:
            return kept
    return text


def _load(data: bytes) -> Any:
    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def new_index() -> bytes:
    """The index of a repository with these services alone."""
    names = "".join(f"- {service.name}\n" for service in SERVICES)
    return f"services:\n{names}consoles: []\nengines: []\n".encode()


def read_index(data: bytes, where: str) -> Mapping[str, list[str]]:
    """The lists of an index, as the OS reads them: one that is not lists of names it does not read at all.

    Raises:
        InputError: The OS would not read it.
    """
    try:
        found = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise InputError(
            "this is no YAML", where=where, line=None if line is None else line + 1, hint="mend it first"
        ) from error
    lists = {} if found is None else found
    if not isinstance(lists, dict):
        raise InputError("this is no index of services", where=where, hint="it has services:, consoles: and engines:")
    for key, names in lists.items():
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise InputError(f"{key} is no list of names: no OS can read this index", where=where, hint="mend it first")
    return {str(key): names or [] for key, names in lists.items()}


def merged_index(before: bytes, where: str) -> bytes:
    """An index with the kernel's services added to its own; each line that is there stays.

    A list that is sorted stays so; else what is missing is added at its end.

    Raises:
        InputError: The OS would not read it, or its services are not written one a line.
    """
    names = list(read_index(before, where).get("services", []))
    missing = [service.name for service in SERVICES if service.name not in names]
    if not missing:
        return before
    text = before.decode()
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += end
    start = next((at for at, line in enumerate(lines) if re.match(r"services\s*:", line)), None)
    if start is None:
        lines += [f"services:{end}"]
        start = len(lines) - 1
    lines[start] = re.sub(r":[ \t]*(?:\[[ \t]*\]|null|~)?[ \t]*(?=[\r\n#])", ":", lines[start], count=1)
    items = [at for at in range(start + 1, _block_end(lines, start)) if lines[at].lstrip().startswith("- ")]
    indent = lines[items[0]].partition("-")[0] if items else ""
    in_order = names == sorted(names)
    for name in missing if len(items) == len(names) else ():
        at = bisect(names, name) if in_order else len(names)
        place = items[at - 1] + 1 if at else start + 1
        lines.insert(place, f"{indent}- {name}{end}")
        items[at:] = [place, *(line + 1 for line in items[at:])]
        names.insert(at, name)
    merged = "".join(lines).encode()
    if not set(missing) <= set(names) or _load(merged) != {**(_load(before) or {}), "services": names}:
        raise InputError(
            "its services are not written one a line: rosk cannot add to them",
            where=where,
            hint="write them as a list with one `- NAME` a line",
        )
    return merged


def _block_end(lines: list[str], start: int) -> int:
    """The first line after a list that is not of it."""
    for at in range(start + 1, len(lines)):
        if lines[at].strip() and not re.match(r"\s|- |#", lines[at]):
            return at
    return len(lines)
