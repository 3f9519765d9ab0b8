"""What is found and judged. The client is a shell script that prints what real clients print."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.engine.probe import EngineState, check, probe, probe_ahead, version
from builder.errors import EngineError
from tests.unit.engine.states import BARE, BOOKWORM, READY

INFO: dict[str, Any] = {
    "ServerVersion": "26.1.5+dfsg1",
    "DockerRootDir": "/var/lib/docker",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "ClientInfo": {"Context": "default", "Plugins": [{"Name": "buildx", "Version": "0.13.1+ds1"}]},
}
DEAD = {**INFO, "ServerVersion": "", "DockerRootDir": "", "DriverStatus": None}
NOT_RUNNING = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"


class Machine:
    """A PATH with nothing on it but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def docker(self, info: dict[str, Any], complaint: str = "") -> None:
        (self.folder / "info.json").write_text(json.dumps(info))
        self.program("docker", f"/bin/cat {self.folder}/info.json; echo '{complaint}' >&2; [ -z '{complaint}' ]")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return Machine(folder)


@pytest.mark.host_programs
class TestProbe:
    def test_an_engine_that_answers(self, machine: Machine) -> None:
        machine.docker({**INFO, "DockerRootDir": str(machine.folder)})
        state = probe()
        assert (state.engine, state.buildx, state.containerd_store) == ("26.1.5+dfsg1", "0.13.1+ds1", True)
        assert (state.endpoint, state.chosen) == ("unix:///var/run/docker.sock", "")
        assert state.context == "default"
        assert state.data_root == machine.folder
        assert state.free_bytes
        assert state.client == str(machine.folder / "docker")

    def test_the_classic_store(self, machine: Machine) -> None:
        machine.docker({**INFO, "DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]]})
        assert not probe().containerd_store

    def test_no_client(self, machine: Machine) -> None:
        state = probe()
        assert (state.client, state.engine, state.buildx) == (None, None, None)

    def test_a_client_without_an_engine(self, machine: Machine) -> None:
        machine.docker(DEAD, NOT_RUNNING)
        state = probe()
        assert state.engine is None
        assert state.refusal == NOT_RUNNING
        assert state.buildx == "0.13.1+ds1"
        assert (state.data_root, state.free_bytes) == (None, None)

    def test_an_engine_that_is_installed_but_does_not_run(self, machine: Machine) -> None:
        machine.docker(DEAD, NOT_RUNNING)
        machine.program("dockerd", "echo Docker version 26.1.5+dfsg1, build 411e817")
        assert probe().dockerd == "26.1.5+dfsg1"

    def test_podman_instead_of_docker(self, machine: Machine) -> None:
        machine.docker({"host": {"arch": "amd64"}, "version": {"Version": "4.3.1"}})
        state = probe()
        assert state.engine is None
        assert "podman" in state.refusal

    def test_no_json(self, machine: Machine) -> None:
        machine.program("docker", "echo Segmentation fault >&2; exit 139")
        assert probe().refusal == "Segmentation fault"

    def test_docker_host_goes_to_the_client(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2376")
        monkeypatch.setenv("DOCKER_CERT_PATH", "/certs")
        machine.program("docker", 'echo "{\\"ServerVersion\\": \\"27.0 $DOCKER_HOST $DOCKER_CERT_PATH\\"}"')
        state = probe()
        assert (state.endpoint, state.chosen) == ("tcp://10.0.0.1:2376", "DOCKER_HOST")
        assert state.engine == "27.0 tcp://10.0.0.1:2376 /certs"
        assert state.data_root is None

    @pytest.mark.parametrize("by_variable", [True, False])
    def test_another_context(self, machine: Machine, monkeypatch: pytest.MonkeyPatch, by_variable: bool) -> None:
        if by_variable:
            monkeypatch.setenv("DOCKER_CONTEXT", "far")
        else:
            (machine.folder.parent / "config.json").write_text('{"currentContext": "far"}')
        machine.program("docker", 'case "$1 $3" in "context far") echo ssh://far;; *) echo "{}";; esac')
        state = probe()
        assert state.endpoint == "ssh://far"
        assert state.context is None
        assert state.chosen == ("DOCKER_CONTEXT" if by_variable else "context far")

    def test_a_broken_config(self, machine: Machine) -> None:
        machine.docker(INFO)
        for content in (b"{", b"\xff"):
            (machine.folder.parent / "config.json").write_bytes(content)
            assert probe().chosen == ""

    def test_a_config_of_another_user(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        """As `sudo docker login` leaves it; the client warns of it and goes on."""

        def read_text(path: Path) -> str:
            raise PermissionError(13, "Permission denied", str(path))

        machine.docker(INFO)
        (machine.folder.parent / "config.json").touch()
        monkeypatch.setattr(Path, "read_text", read_text)
        assert probe().chosen == ""


@pytest.mark.host_programs
class TestProbeAhead:
    def test_it_looks_once_however_often_it_is_asked(self, machine: Machine) -> None:
        machine.docker({**INFO, "DockerRootDir": "/"})
        machine.program("docker", f"echo >> {machine.folder}/asked; /bin/cat {machine.folder}/info.json")
        found = probe_ahead()
        assert found().engine == found().engine == "26.1.5+dfsg1"
        assert (machine.folder / "asked").read_text() == "\n"

    def test_an_error_is_raised_where_it_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken() -> EngineState:
            raise EngineError("no space left on device")

        monkeypatch.setattr("builder.engine.probe.probe", broken)
        found = probe_ahead()
        with pytest.raises(EngineError, match="no space"):
            found()


class TestCheck:
    def test_all_is_well(self) -> None:
        assert check(READY) == []

    def test_the_classic_store_is_used_and_its_limits_are_told(self) -> None:
        [note] = check(replace(READY, containerd_store=False))
        assert "cache cannot be exported" in note
        assert "multi-arch index" in note
        assert '{"features": {"containerd-snapshotter": true}} in /etc/docker/daemon.json' in note

    @pytest.mark.parametrize(
        ("state", "what", "hint"),
        [
            (BARE, "no docker client on PATH", "install Docker Engine 26"),
            (replace(BARE, client="/usr/bin/docker"), "no Docker Engine answers at unix:///var/run", "install Docker"),
            (replace(READY, engine=None, dockerd="26.1"), "no Docker Engine answers", "as root: dockerd"),
            (
                replace(READY, engine=None, dockerd="26.1", system=replace(BOOKWORM, systemd=True)),
                "no Docker Engine answers",
                "systemctl start docker",
            ),
            (
                replace(READY, engine=None, endpoint="tcp://far:1", chosen="DOCKER_HOST"),
                "no Docker Engine answers at tcp://far:1",
                "unset DOCKER_HOST",
            ),
            (replace(READY, engine=None, chosen="context far"), "no Docker Engine", "docker context use default"),
            (replace(READY, engine=None, refusal="connect: permission denied"), "no Docker Engine", "group docker"),
            (
                replace(READY, engine="20.10.24+dfsg1"),
                "20.10.24+dfsg1 at unix:///var/run/docker.sock is too",
                "DOCKER_HOST",
            ),
            (replace(READY, buildx=None), "no buildx plugin", "install docker-buildx"),
            (replace(READY, buildx="v0.12.1"), "buildx v0.12.1 is too old: 0.13", "upgrade"),
        ],
    )
    def test_what_is_missing_and_the_next_step(self, state: EngineState, what: str, hint: str) -> None:
        with pytest.raises(EngineError) as caught:
            check(state)
        assert what in caught.value.what
        assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("26.1.5+dfsg1", (26, 1, 5)), ("v0.13.1", (0, 13, 1)), ("28.0.0-rc.1", (28, 0, 0)), ("dev", ()), ("26", (26,))],
)
def test_version(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers
