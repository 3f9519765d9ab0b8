"""Debian packages on the host: what sets up an engine and bootstraps a base image needs."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from builder.errors import EngineError
from builder.process import run

LOCK_SECONDS = 120
PIN_PRIORITY = 50
"""Below 100, the priority of an installed version (apt_preferences(5)): no upgrade ever comes from that suite."""

_LOCK_POLL_SECONDS = 5
_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}
_OPTIONS = ("-o", f"DPkg::Lock::Timeout={LOCK_SECONDS}", "-o", "Acquire::Retries=2")
_ENTRY = "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(SOURCESENTRY)"


def update() -> list[str]:
    """Refresh apt's lists, waiting while another apt does so; returns apt's warnings and errors.

    A source that cannot be reached is no error yet: what is wanted may be in the others.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        done = run(["apt-get", "-q", *_OPTIONS, "update"], env=_environment(), check=False)
        if "Could not get lock" not in done.stderr or time.monotonic() > deadline:
            return [line for line in done.stderr.splitlines() if line.startswith(("W:", "E:"))]
        time.sleep(_LOCK_POLL_SECONDS)


def install_argv(packages: Sequence[str]) -> list[str]:
    """The command that installs packages and what they depend on, and nothing else."""
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]


def install(packages: Sequence[str], *, complaints: Sequence[str] = ()) -> None:
    """Install packages; one that is there already is left as it is.

    Args:
        complaints: What `update` returned, to be shown if this fails.

    Raises:
        EngineError: apt failed.
    """
    hint = "see that the network and apt's sources work: apt-get update"
    argv = install_argv(packages)
    argv[1:1] = ["-q", *_OPTIONS, "-o", "Dpkg::Options::=--force-confold"]
    try:
        done = run(argv, env=_environment(), check=False)
        if "dpkg --configure -a" in done.stderr:  # dpkg was killed once: until this is done, apt refuses to work
            run(["dpkg", "--configure", "-a"], env=_environment(), error=EngineError, hint=hint)
        if done.returncode != 0:
            run(argv, env=_environment(), error=EngineError, hint=hint)
    except EngineError as error:
        what = f"apt-get could not install {' '.join(packages)}"
        raise EngineError(what, hint=hint, details=[*complaints, *error.details]) from error


def add_suite(suite: str, *, beside: str, complaints: Sequence[str]) -> None:
    """Add a Debian suite to apt, pinned so low that only what is asked for by `/SUITE` comes from it.

    The entry is the machine's own entry of the suite `beside`, with the suite and the component replaced, so that it
    uses the same mirror, keys and options. `update` has to be called before and after; `complaints` is what it said.

    Raises:
        EngineError: apt has no entry of that suite from Debian.
    """
    entries = run(["apt-get", "indextargets", "--format", _ENTRY, "Created-By: Packages"], env=_environment()).stdout
    if find_entry(entries, suite):
        return
    found = find_entry(entries, beside)
    if found is None:
        raise EngineError(
            f"apt knows no source of Debian {beside}, from which the one of {suite} could be made",
            hint="see that the network and apt's sources work: apt-get update",
            details=complaints,
        )
    path, number = found
    kind, text = with_suite(path.read_text(), number, path.suffix == ".sources", suite)
    Path(f"/etc/apt/preferences.d/rosk-{suite}").write_text(
        f"Package: *\nPin: release n={suite}\nPin-Priority: {PIN_PRIORITY}\n"
    )
    Path(f"/etc/apt/sources.list.d/rosk-{suite}.{kind}").write_text(text)


def find_entry(entries: str, codename: str) -> tuple[Path, int] | None:
    """The file and the entry number of Debian's `main` of a suite.

    Args:
        entries: Lines `origin|codename|component|file:number` as apt-get indextargets prints them; the number counts
            lines in a .list file and paragraphs in a .sources file.
    """
    for line in entries.splitlines():
        origin, found, component, entry = line.split("|", 3)
        if (origin, found, component) == ("Debian", codename, "main"):
            path, _, number = entry.rpartition(":")
            return Path(path), int(number)
    return None


def with_suite(text: str, number: int, deb822: bool, suite: str) -> tuple[str, str]:
    """An entry of a file of apt sources, for another suite (both forms: sources.list(5)).

    Returns:
        `list` or `sources`, and the content of a file of that kind.
    """
    if not deb822:
        entry = re.match(r"\s*deb(?:-src)?\s+(\[[^\]]*\]\s+)?(\S+)\s", text.splitlines()[number - 1])
        assert entry, "apt named a line that is no entry"
        return "list", f"deb {entry[1] or ''}{entry[2]} {suite} main\n"
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    paragraphs = [part for part in re.split(r"\n\s*\n", "\n".join(lines)) if part.strip()]
    fields = re.split(r"\n(?=\S)", paragraphs[number - 1].strip("\n"))
    kept = [field for field in fields if field.partition(":")[0].lower() not in {"types", "suites", "components"}]
    return "sources", "\n".join(["Types: deb", f"Suites: {suite}", "Components: main", *kept]) + "\n"


def available() -> bool:
    """Whether this process may install packages: apt is here and it is root."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def _environment() -> dict[str, str]:
    return {**_ENVIRONMENT, "PATH": system_path()}


def system_path() -> str:
    """PATH with the folders of the system's administration, which a root shell made by su(1) lacks."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
