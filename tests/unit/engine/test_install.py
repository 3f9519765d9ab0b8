"""What would be installed where, and what is refused. Installing itself was left to a machine of its own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from builder.engine.install import InstallPlan, daemon_settings, install, plan_install
from builder.engine.probe import EngineState
from builder.errors import EngineError
from tests.unit.engine.states import BARE, BOOKWORM, READY

TRIXIE = replace(BOOKWORM, version="13", name="Debian GNU/Linux 13 (trixie)")
STOPPED = replace(READY, engine=None, dockerd="26.1.5+dfsg1", refusal="Cannot connect to the Docker daemon")
BESIDE = ("ca-certificates", "containerd", "iptables", "kmod", "runc", "tini")


@pytest.mark.parametrize(
    "state",
    [READY, replace(READY, engine="20.10.24"), replace(READY, buildx=None), replace(READY, chosen="DOCKER_HOST")],
)
def test_nothing_is_installed_where_an_engine_answers(state: EngineState) -> None:
    assert plan_install(state) is None


def test_bare_debian_12() -> None:
    plan = plan_install(BARE)
    assert plan == InstallPlan(
        packages=("docker.io/trixie", "docker-cli/trixie", "docker-buildx/trixie", *BESIDE),
        beside="bookworm",
        systemd=False,
    )
    assert [line.split()[0] for line in plan.lines] == ["add", "write", "install", "start"]
    assert "trixie" in plan.lines[0]
    assert "/etc/docker/daemon.json" in plan.lines[1]
    assert plan.by_hand.startswith("apt-get install -y --no-install-recommends docker.io/trixie ")
    assert plan.by_hand.endswith(" && dockerd")


@pytest.mark.host_programs
def test_the_engine_takes_its_settings(tmp_path: Path) -> None:
    settings = daemon_settings(100 * 10**9)
    assert settings["builder"]["gc"]["policy"] == [{"keepStorage": "50GB", "all": True}]
    (tmp_path / "daemon.json").write_text(json.dumps(settings))
    argv: list[str | Path] = ["dockerd", "--validate", "--config-file", tmp_path / "daemon.json"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_bare_debian_13_with_systemd() -> None:
    plan = plan_install(replace(BARE, system=replace(TRIXIE, systemd=True)))
    assert plan == InstallPlan(
        packages=("docker.io", "docker-cli", "docker-buildx", *BESIDE), beside=None, systemd=True
    )
    assert plan.lines[-1] == "start the service docker"


def test_a_client_that_is_there_is_kept() -> None:
    plan = plan_install(replace(BARE, client="/usr/local/bin/docker"))
    assert plan is not None
    assert plan.packages == ("docker.io/trixie", "docker-buildx/trixie", *BESIDE)


def test_an_engine_that_does_not_run_is_only_started() -> None:
    plan = plan_install(STOPPED)
    assert plan == InstallPlan(packages=(), beside=None, systemd=False)
    assert plan.lines == ["start dockerd, with its log in /var/log/rosk-dockerd.log"]
    assert plan.by_hand == "dockerd"


@pytest.mark.parametrize("buildx", [None, "0.11.2"])
def test_what_a_half_done_install_lacks_is_added(buildx: str | None) -> None:
    plan = plan_install(replace(STOPPED, client=None, buildx=buildx))
    assert plan is not None
    assert plan.packages == ("docker-cli/trixie", "docker-buildx/trixie")
    assert plan.beside == "bookworm"


@pytest.mark.parametrize(
    ("state", "what", "hint"),
    [
        (
            replace(BARE, chosen="DOCKER_HOST", client="/usr/bin/docker"),
            "no Docker Engine answers",
            "unset DOCKER_HOST",
        ),
        (replace(STOPPED, refusal="dial unix: permission denied"), "no Docker Engine answers", "group docker"),
        (replace(STOPPED, dockerd="20.10.24+dfsg1"), "20.10.24+dfsg1 is installed here, does not run", "upgrade it"),
        (replace(BARE, system=replace(BOOKWORM, root=False)), "takes root", "once as root"),
        (replace(BARE, system=replace(BOOKWORM, apt=False)), "Debian 12 and 13 only", "install Docker Engine 26"),
        (replace(BARE, system=replace(BOOKWORM, version="11")), "Debian 12 and 13 only", "install Docker Engine 26"),
        (
            replace(BARE, system=replace(BOOKWORM, id="fedora", version="41", name="Fedora Linux 41")),
            "not on Fedora Linux 41",
            "install Docker Engine 26",
        ),
    ],
)
def test_where_it_is_not_for_rosk_to_install(state: EngineState, what: str, hint: str) -> None:
    with pytest.raises(EngineError) as caught:
        plan_install(state)
    assert what in caught.value.what
    assert hint in caught.value.hint


def test_a_refusal_says_what_would_have_been_done_and_does_nothing() -> None:
    plan = plan_install(BARE)
    assert plan is not None
    said: list[str] = []
    with pytest.raises(EngineError) as caught:
        install(plan, allow_install=False, say=said.append)
    assert said == []
    assert "--no-install, ROSK_NO_INSTALL" in caught.value.what
    assert caught.value.details == tuple(f"would {line}" for line in plan.lines)
    assert plan.by_hand in caught.value.hint
