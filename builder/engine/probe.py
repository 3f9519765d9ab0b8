"""Which container engine answers here, and whether it is able to do what rosk needs.

`probe` looks and changes nothing; `check` judges what it found. Everything comes from `docker info`, whose JSON has
the client with its plugins even when no engine answers.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from builder.errors import EngineError
from builder.process import run

ENGINE_NEEDED = (26,)
"""The first Docker Engine whose containerd image store is complete enough, and the oldest that rosk is tried with."""

BUILDX_NEEDED = (0, 13)
"""The first buildx with `--progress rawjson`."""

ANSWER_SECONDS = 30.0
DEFAULT_SOCKET = "unix:///var/run/docker.sock"

# Where the client looks for an engine, and how it gets there; nothing else of the environment changes the answer.
_CLIENT_VARIABLES = re.compile(r"(DOCKER|BUILDX|BUILDKIT)_\w+|SSH_AUTH_SOCK|XDG_RUNTIME_DIR")
_NEWER = "Docker Engine 26 or newer with buildx 0.13 or newer"


@dataclass(frozen=True, kw_only=True)
class System:
    """The machine itself.

    Attributes:
        id, version: `ID` and `VERSION_ID` of os-release(5), `debian` and `12`; the version is empty for a rolling one.
        name: What to call it in a message.
        apt: apt-get is there.
        systemd: systemd runs as the init (sd_booted(3)).
        root: The process may change the system.
    """

    id: str
    version: str
    name: str
    apt: bool
    systemd: bool
    root: bool


@dataclass(frozen=True, kw_only=True)
class EngineState:
    """What `probe` found.

    Attributes:
        client: Path of the docker client on PATH, or None.
        endpoint: Address of the engine's API, `unix:///var/run/docker.sock`.
        chosen: What the user chose an engine with: `DOCKER_HOST`, `DOCKER_CONTEXT`, `context NAME`; empty when nothing.
        engine: Version of the engine that answers, or None; `refusal` then says why not, in the client's words.
        context: The client's current context, or None when the client does not say.
        buildx: Version of the client's buildx plugin, or None.
        containerd_store: Images are kept in containerd's store, not in the classic one.
        data_root, free_bytes: Where an engine of this machine keeps everything, and the room left there.
        dockerd: Version of an engine that is installed on this machine; looked for only when none answers.
        system: The machine.
    """

    client: str | None
    endpoint: str
    chosen: str
    engine: str | None
    refusal: str
    context: str | None
    buildx: str | None
    containerd_store: bool
    data_root: Path | None
    free_bytes: int | None
    dockerd: str | None
    system: System


def client_environment() -> dict[str, str]:
    """The environment's variables that decide which engine the docker client finds, and how it gets there."""
    return {name: value for name, value in os.environ.items() if _CLIENT_VARIABLES.fullmatch(name)}


def probe() -> EngineState:
    """Look at the engine that the docker client would use. Takes a fraction of a second; 30 s when it hangs."""
    client = shutil.which("docker")
    environment = client_environment()
    endpoint, chosen = _endpoint(client, environment)
    info, refusal = _info(client, environment)
    engine = info.get("ServerVersion") or None
    root = Path(info.get("DockerRootDir") or "/var/lib/docker")
    local = engine is not None and endpoint.startswith("unix://") and root.is_dir()
    return EngineState(
        client=client,
        endpoint=endpoint,
        chosen=chosen,
        engine=engine,
        refusal=refusal,
        context=(info.get("ClientInfo") or {}).get("Context") or None,
        buildx=_buildx(info),
        containerd_store=["driver-type", "io.containerd.snapshotter.v1"] in (info.get("DriverStatus") or ()),
        data_root=root if local else None,
        free_bytes=shutil.disk_usage(root).free if local else None,
        dockerd=None if engine else _dockerd(),
        system=_system(),
    )


def probe_ahead() -> Callable[[], EngineState]:
    """Start to `probe` beside what the caller goes on with.

    Returns:
        What waits for it, and gives what was found. Who does not call it need not wait.
    """
    found: Future[EngineState] = Future()

    def look() -> None:
        try:
            found.set_result(probe())
        except BaseException as error:  # raised where it is waited for
            found.set_exception(error)

    Thread(target=look, daemon=True).start()
    return found.result


def check(state: EngineState) -> list[str]:
    """Judge an engine.

    Returns:
        Notes for the user: what this engine cannot do although rosk works with it.

    Raises:
        EngineError: rosk cannot work with it, or none answers; the hint is the next step.
    """
    if state.client is None:
        raise EngineError("there is no docker client on PATH", hint=f"install {_NEWER}; `rosk doctor` says how")
    if state.engine is None:
        raise EngineError(f"no Docker Engine answers at {state.endpoint}", hint=_wake(state), details=[state.refusal])
    if version(state.engine) < ENGINE_NEEDED:
        raise EngineError(
            f"Docker Engine {state.engine} at {state.endpoint} is too old: 26.0 or newer is needed",
            hint="upgrade it (Debian 13 has a new enough docker.io), or choose another with DOCKER_HOST",
        )
    if state.buildx is None:
        raise EngineError(
            "the docker client has no buildx plugin",
            hint="install docker-buildx (Debian, Ubuntu) or docker-buildx-plugin (Docker's own packages)",
        )
    if version(state.buildx) < BUILDX_NEEDED:
        raise EngineError(f"buildx {state.buildx} is too old: 0.13 or newer is needed", hint="upgrade docker-buildx")
    return [] if state.containerd_store else [_CLASSIC_STORE]


_CLASSIC_STORE = (
    "this engine keeps images in its classic store: a build cache cannot be exported to a folder or a registry, nor a "
    'multi-arch index made. To switch: {"features": {"containerd-snapshotter": true}} in /etc/docker/daemon.json and '
    "restart the engine; images and containers of the classic store are hidden until it is switched back."
)


def version(text: str) -> tuple[int, ...]:
    """`26.1.5+dfsg1` or `v0.13.1` as numbers; empty (older than any) when there are none."""
    numbers = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(int(number) for number in numbers[1].split(".")) if numbers else ()


def _wake(state: EngineState) -> str:
    """The next step when no engine answers."""
    if "permission denied" in state.refusal:
        return "run as root, or as a user of the group docker"
    if state.chosen.startswith("DOCKER_"):
        return f"start that engine, or unset {state.chosen} to use this machine's own"
    if state.chosen:
        return "start that engine, or use this machine's own: docker context use default"
    if state.dockerd:
        return "start it: systemctl start docker" if state.system.systemd else "start it as root: dockerd"
    return f"install {_NEWER}; `rosk doctor` says how"


def _endpoint(client: str | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """Address of the engine, and what the user chose it with: the client's own order is host, variable, config."""
    if host := environment.get("DOCKER_HOST"):
        return host, "DOCKER_HOST"
    config = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    name, chosen = environment.get("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
    if not name:
        name = _read_json(_text(config)).get("currentContext")
        chosen = f"context {name}"
    if not name or name == "default" or client is None:
        return DEFAULT_SOCKET, ""
    shown = run(
        [client, "context", "inspect", name, "--format", "{{.Endpoints.docker.Host}}"], env=environment, check=False
    )
    return shown.stdout.strip() or f"the context {name}", chosen


def _info(client: str | None, environment: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The object of `docker info`, and in one line why no engine answered."""
    if client is None:
        return {}, ""
    argv = [client, "info", "--format", "{{json .}}"]
    try:
        shown = run(argv, env=environment, check=False, timeout=ANSWER_SECONDS, error=EngineError)
    except EngineError as late:
        return {}, late.what
    info = _read_json(shown.stdout)
    if "host" in info and "ServerVersion" not in info:
        return {}, f"{client} is podman's stand-in for the docker client"
    words = info.get("ServerErrors") or shown.stderr.strip().splitlines()[-1:]
    return info, " ".join(words)


def _dockerd() -> str | None:
    """The version in `Docker version 26.1.5+dfsg1, build 411e817`, of the dockerd of this machine."""
    path = shutil.which("dockerd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        return None
    words = run([path, "--version"], check=False).stdout.split()
    return words[2].rstrip(",") if len(words) > 2 else "unknown"


def _text(path: Path) -> str:
    """A file's text; empty where there is none, or none to read: the client warns of its config, and goes on."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _read_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _buildx(info: Mapping[str, Any]) -> str | None:
    plugins = (info.get("ClientInfo") or {}).get("Plugins") or ()
    return next((plugin.get("Version") for plugin in plugins if plugin.get("Name") == "buildx"), None)


def _system() -> System:
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        facts = {}
    return System(
        id=facts.get("ID", ""),
        version=facts.get("VERSION_ID", ""),
        name=facts.get("PRETTY_NAME", "this system"),
        apt=shutil.which("apt-get") is not None,
        systemd=Path("/run/systemd/system").is_dir(),
        root=os.geteuid() == 0,
    )
