"""Gets a container engine onto a Debian machine that has none: planned first, said, and only then done.

Debian 13 has Docker Engine 26 with buildx. Debian 12 has neither, so its engine comes from Debian's trixie suite,
added to apt with a pin so low that nothing else is ever taken from there. Every step can be repeated: a second run
completes one that was broken off.
"""

from __future__ import annotations

import json
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.engine import apt
from builder.engine.probe import BUILDX_NEEDED, ENGINE_NEEDED, EngineState, System, check, probe, version
from builder.errors import EngineError
from builder.process import run

Say = Callable[[str], None]
"""Shows one line to the user."""

NEWER_SUITE = "trixie"
DAEMON_JSON = Path("/etc/docker/daemon.json")
DAEMON_LOG = Path("/var/log/rosk-dockerd.log")
START_SECONDS = 60.0

_GRACE_SECONDS = 3.0
_LOG_LINES = 15
_BESIDE = ("ca-certificates", "containerd", "iptables", "kmod", "runc", "tini")


@dataclass(frozen=True, kw_only=True)
class InstallPlan:
    """What will be done to this machine.

    Attributes:
        packages: To install, as apt takes them (`docker.io/trixie`); empty when an engine is only to be started.
        beside: The machine's own Debian suite when NEWER_SUITE has to be added to apt; else None.
        systemd: The engine is started as a service; else as a process of its own session.
    """

    packages: tuple[str, ...]
    beside: str | None
    systemd: bool

    @property
    def lines(self) -> list[str]:
        """What will be done, for the user."""
        start = "the service docker" if self.systemd else f"dockerd, with its log in {DAEMON_LOG}"
        suite = (
            f"add Debian's suite {NEWER_SUITE} to apt, pinned to {apt.PIN_PRIORITY}: only what is named comes from it"
        )
        return [
            *([suite] if self.beside else []),
            *(
                [f"write {DAEMON_JSON} if there is none: containerd's image store, half of the disk for caches"]
                if self.packages
                else []
            ),
            *([f"install Debian packages: {' '.join(self.packages)}"] if self.packages else []),
            f"start {start}",
        ]

    @property
    def by_hand(self) -> str:
        """The same as commands; a suite has to be added to apt's sources before."""
        start = "systemctl start docker" if self.systemd else "dockerd"
        return f"{shlex.join(apt.install_argv(self.packages))} && {start}" if self.packages else start


def ensure_engine(*, allow_install: bool, say: Say, look: Callable[[], EngineState] = probe) -> EngineState:
    """An engine that rosk can work with: the one that answers, else one that is installed and started here.

    Args:
        allow_install: Whether this machine may be changed.
        say: Told what is about to be done, and what the engine cannot do.
        look: Gives what a first look finds.

    Raises:
        EngineError: There is none and none could be had, or it is not able enough.
    """
    state = look()
    if plan := plan_install(state):
        install(plan, allow_install=allow_install, say=say)
        state = probe()
    for note in check(state):
        say(note)
    return state


def plan_install(state: EngineState) -> InstallPlan | None:
    """What to do to get an engine; None when one answers already, whatever it is.

    Raises:
        EngineError: None answers, and to install or start one is not for rosk to do.
    """
    if state.engine is not None:
        return None
    if state.chosen or "permission denied" in state.refusal:
        check(state)
    if state.dockerd and version(state.dockerd) < ENGINE_NEEDED:
        raise EngineError(
            f"Docker Engine {state.dockerd} is installed here, does not run, and is too old: 26.0 or newer is needed",
            hint="upgrade it or remove it (apt-get remove docker.io), then run this again",
        )
    suite = _own_suite(state.system)
    wanted = {
        "docker.io": state.dockerd is None,
        "docker-cli": state.client is None,
        "docker-buildx": state.buildx is None or version(state.buildx) < BUILDX_NEEDED,
    }
    newer = [name for name, missing in wanted.items() if missing]
    if suite != NEWER_SUITE:
        newer = [f"{name}/{NEWER_SUITE}" for name in newer]
    return InstallPlan(
        packages=(*newer, *(_BESIDE if state.dockerd is None else ())),
        beside=suite if newer and suite != NEWER_SUITE else None,
        systemd=state.system.systemd,
    )


def install(plan: InstallPlan, *, allow_install: bool, say: Say) -> None:
    """Carry out a plan: say it, do it, and wait until the engine answers.

    Raises:
        EngineError: It was refused (then nothing was done), or a step failed.
    """
    announce("no container engine answers", plan.lines, by_hand=plan.by_hand, allow_install=allow_install, say=say)
    if plan.packages:
        complaints = apt.update()
        if plan.beside:
            apt.add_suite(NEWER_SUITE, beside=plan.beside, complaints=complaints)
            complaints = apt.update()
        if not DAEMON_JSON.exists():
            DAEMON_JSON.parent.mkdir(parents=True, exist_ok=True)
            DAEMON_JSON.write_text(json.dumps(daemon_settings(shutil.disk_usage("/var").free)) + "\n")
        apt.install(plan.packages, complaints=complaints)
    logged = DAEMON_LOG.stat().st_size if DAEMON_LOG.exists() else 0
    engine = _await_engine(systemd=plan.systemd) if _start(systemd=plan.systemd) else None
    if engine is None:
        raise EngineError(
            "the engine that is installed does not start",
            hint="see why: journalctl -u docker" if plan.systemd else f"the whole log is in {DAEMON_LOG}",
            details=_last_words(systemd=plan.systemd, logged=logged),
        )
    say(f"Docker Engine {engine} answers")


def daemon_settings(free: int) -> dict[str, Any]:
    """Settings for an engine that builds kernels.

    Left alone, it clears cache mounts that were not used for two days, with them object trees and compiler caches, and
    keeps a tenth of the disk of everything else; a few kernels are more than that.

    Args:
        free: Bytes that are free where it keeps its data.
    """
    kept = f"{max(10, free // 2 // 10**9)}GB"
    policy = [{"keepStorage": kept, "all": True}]
    return {"features": {"containerd-snapshotter": True}, "builder": {"gc": {"enabled": True, "policy": policy}}}


def announce(why: str, lines: Sequence[str], *, by_hand: str, allow_install: bool, say: Say) -> None:
    """Say what is about to be done to this machine, or refuse to do it.

    Args:
        why: What is missing.
        lines: What will be done.
        by_hand: Commands that do the same.

    Raises:
        EngineError: The machine may not be changed.
    """
    if not allow_install:
        raise EngineError(
            f"{why}, and installing is refused (--no-install, ROSK_NO_INSTALL)",
            hint=f"allow it, or do it by hand: {by_hand}",
            details=[f"would {line}" for line in lines],
        )
    say(f"{why}; about to (--no-install or ROSK_NO_INSTALL=1 refuses it):")
    for line in lines:
        say(f"  {line}")


def _own_suite(system: System) -> str:
    """The Debian suite whose packages the machine takes.

    Raises:
        EngineError: It is another system, or not ours to change.
    """
    suites = {"12": "bookworm", "13": NEWER_SUITE}
    if system.id != "debian" or not system.apt or system.version not in suites:
        raise EngineError(
            f"no container engine answers, and rosk can set one up on Debian 12 and 13 only, not on {system.name}",
            hint="install Docker Engine 26 or newer with buildx, start it, and run this again",
        )
    if not system.root:
        raise EngineError(
            "no container engine answers, and setting one up takes root",
            hint="run this once as root, or install docker.io, docker-cli and docker-buildx and start docker",
        )
    return suites[system.version]


def _start(*, systemd: bool) -> bool:
    """Start the engine that is installed; one that runs already is left alone. Returns whether it was started."""
    if systemd:
        # A service that failed often is not started again before this.
        run(["systemctl", "reset-failed", "docker"], check=False)
        return run(["systemctl", "start", "docker"], check=False).returncode == 0
    dockerd = shutil.which("dockerd", path=apt.system_path())
    argv = ["start-stop-daemon", "--start", "--oknodo", "--background", f"--output={DAEMON_LOG}"]
    argv += ["--pidfile=/var/run/docker.pid", "--name=dockerd", f"--startas={dockerd}"]
    return run(argv, env={"PATH": apt.system_path()}, check=False).returncode == 0


def _await_engine(*, systemd: bool) -> str | None:
    """Wait until the engine answers; returns its version, or None when it ended or START_SECONDS went by."""
    started = time.monotonic()
    while (waited := time.monotonic() - started) < START_SECONDS:
        if engine := probe().engine:
            return engine
        if waited > _GRACE_SECONDS and not systemd and not _dockerd_runs():
            break
        time.sleep(0.5)
    return None


def _dockerd_runs() -> bool:
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            program, _, _ = words.read_bytes().partition(b"\0")
        except OSError:
            continue  # the process has just ended
        if program.rpartition(b"/")[2] == b"dockerd":
            return True
    return False


def _last_words(*, systemd: bool, logged: int) -> list[str]:
    """The last lines of the engine's log; `logged` is the size in bytes that the file had before."""
    if systemd:
        shown = run(["journalctl", "--unit=docker", f"--lines={_LOG_LINES}", "--no-pager", "--output=cat"], check=False)
        return shown.stdout.splitlines()
    text = DAEMON_LOG.read_bytes()[logged:].decode(errors="replace") if DAEMON_LOG.exists() else ""
    return text.splitlines()[-_LOG_LINES:]
