"""What a run is measured on, and with which versions."""

from __future__ import annotations

import os
import platform
import re
import timeit
from pathlib import Path

from benchmarks.commands import BenchmarkError, run
from benchmarks.engine import Container, docker
from benchmarks.tuxmake import VERSION as TUXMAKE_VERSION
from benchmarks.workspace import Workspace


def describe_machine(folder: Path) -> dict[str, str]:
    """The machine, and the disk that the folder lies on."""
    return {
        "CPU": _cpu(Path("/proc/cpuinfo").read_text()),
        "CPUs used": str(len(os.sched_getaffinity(0))),
        "RAM": f"{_memory(Path('/proc/meminfo').read_text()) / 2**30:.1f} GiB",
        "disk": _disk(folder),
        "system": f"{_system()}, Linux {platform.release()}",
    }


def idle_warning(load: float, cpus: int) -> str | None:
    """What the page says when the machine was not idle at the start."""
    return f"The machine was not idle at the start: load {load:.1f} on {cpus} CPUs." if load > cpus / 2 else None


def pace() -> float:
    """Seconds that a fixed piece of work takes one CPU now: a machine that others share is not always as fast."""
    return min(timeit.repeat("for each in range(10**6): pass", number=10, repeat=3))


def _cpu(text: str) -> str:
    match = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def _memory(text: str) -> int:
    """Bytes of memory, from /proc/meminfo."""
    match = re.search(r"^MemTotal:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def _disk(folder: Path) -> str:
    source, kind, size = run(["df", "--output=source,fstype,size", "-h", folder]).stdout.splitlines()[1].split()
    return f"{source}, {kind}, {size}"


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def describe_versions(work: Workspace, container: Container, os_kernel: Path | None) -> dict[str, str]:
    """Of rosk, of what builds, and of what it is compared with."""
    packages = work.state.packages
    found = {
        "rosk": work.state.commit,
        "kernel": work.state.kernel_version,
        "engine": docker("version", "--format", "{{.Server.Version}}").strip(),
        "buildx": docker("buildx", "version").split()[1],
        "gcc": _first_line(container, "gcc", "--version"),
        "make": packages.get("make", ""),
        "ccache": packages.get("ccache", ""),
        "TuxMake": TUXMAKE_VERSION,
        "Python": platform.python_version(),
    }
    if os_kernel is not None:
        found["os-kernel"] = _revision(os_kernel)
    return found


def _first_line(container: Container, *argv: str) -> str:
    return docker("exec", container.name, *argv).splitlines()[0]


def _revision(folder: Path) -> str:
    if not (folder / ".git").exists():
        return f"from {folder}, revision unknown"
    try:
        return run(["git", "-C", folder, "log", "-1", "--format=%h of %cs"]).stdout.strip()
    except BenchmarkError:
        return "revision unknown"
