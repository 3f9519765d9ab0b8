"""A build that is killed, at whatever moment: `dist` has a whole release, and the next build is as one from nothing."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from builder.engine.base import BaseImage
from builder.engine.docker import Docker
from tests.graph.conftest import FakeProject
from tests.graph.edits import Edit, Outcome, kernel_release, released, source
from tests.graph.kills import failed_build, kill_packing, killed_rosk, packing
from tests.graph.test_never_stale import Proof, new_proof

pytestmark = pytest.mark.engine

FIRMWARE = 24 << 20
"""Bytes that take a second or two to pack."""
PARTS = 12
"""Into how many parts the time of a build is divided, to kill one in each."""

Moment = Callable[[Proof, str], bool]
"""Whether it is time, by the project and by what `rosk build` has printed."""


@pytest.fixture(scope="module")
def shared(base: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    return new_proof(base, tmp_path_factory.mktemp("killed"))


@pytest.fixture
def proof(shared: Proof) -> Proof:
    """One project for all tests: each starts with a release in its `dist`, and with edits that make all of it anew."""
    shared.start()
    shared.project.build()
    token = secrets.token_hex(3)
    shared.apply(Edit(f"all anew, with {token}", partial(anew, token=token)))
    return shared


def anew(project: FakeProject, token: str) -> None:
    source("include/linux/fake.h", "LEVEL 1", f"LEVEL 0x{token}").apply(project)
    (project.root / "firmware/fakenic/nic-1.bin").write_bytes(random.Random(token).randbytes(FIRMWARE))


def staged(name: str) -> Moment:
    """There is such a file in the staging folder."""
    return lambda proof, _told: any(dist_of(proof).glob(f".rosk-*/{name}"))


def packs(proof: Proof, _told: str) -> bool:
    return bool(packing(kernel_release(proof.project)))


def exports(proof: Proof, _told: str) -> bool:
    """The archive of the release has something in it, and BuildKit writes more."""
    with suppress(FileNotFoundError):  # it is taken over once it is whole
        return any(path.stat().st_size for path in dist_of(proof).glob(".rosk-*/release.tar"))
    return False


def between_solves(_proof: Proof, told: str) -> bool:
    """The edits are of what nothing is foreseen from: the packages are fetched in a second solve."""
    return "export: done" in told


MOMENTS: dict[str, Moment] = {
    "as the first solve begins": staged("release.tar"),
    "as the first solve exports": exports,
    "as what it exports is unpacked": staged("kernel"),
    "as the second solve begins": staged("kernel.tar"),
    "as the release is described": staged("manifest.json"),
}


def dist_of(proof: Proof) -> Path:
    return proof.project.root / "dist"


def kill_rosk(proof: Proof, moment: Moment, words: str) -> None:
    """Kill the command `rosk build` before its end: the release before is there, whole."""
    before = released(dist_of(proof))
    assert killed_rosk(proof.project, partial(moment, proof)), f"it ended and was not killed {words}"
    proof.said.append(f"rosk build, killed {words}")
    assert released(dist_of(proof)) == before


def check_next(proof: Proof) -> Outcome:
    """Build, and compare with a build from nothing; of those that were killed nothing is left."""
    built = proof.build()
    assert [path.name for path in dist_of(proof).iterdir() if path.name.startswith(".")] == []
    assert Docker().image_ids(list(built.images)) == built.manifest["images"]
    return released(dist_of(proof))


def test_builds_are_killed(proof: Proof) -> None:
    """One after the other: rosk as a stage packs, that stage as it fills its cache, and rosk between its two solves."""
    kill_rosk(proof, packs, "as the kernel package is packed")
    before = released(dist_of(proof))
    assert failed_build(proof.project, partial(kill_packing, kernel_release(proof.project)))
    proof.said.append("build, with the packing of the kernel package killed")
    assert released(dist_of(proof)) == before
    kill_rosk(proof, between_solves, "between its two solves")
    check_next(proof)


@pytest.mark.heavy
@pytest.mark.parametrize("words", MOMENTS)
def test_rosk_is_killed(proof: Proof, words: str) -> None:
    kill_rosk(proof, MOMENTS[words], words)
    check_next(proof)


@pytest.fixture(scope="module")
def seconds(shared: Proof) -> float:
    """How long a build takes that makes all anew."""
    shared.start()
    shared.project.build()
    anew(shared.project, secrets.token_hex(3))
    start = time.monotonic()
    killed_rosk(shared.project, lambda _told: False)
    return time.monotonic() - start


@pytest.mark.heavy
@pytest.mark.parametrize("part", range(PARTS))
def test_rosk_is_killed_at_any_moment(proof: Proof, seconds: float, part: int) -> None:
    """One that is killed while it puts its release in the place of the one before is looked at after the next build."""
    before = released(dist_of(proof))
    end = time.monotonic() + seconds * (part + random.random()) / PARTS
    killed = killed_rosk(proof.project, lambda _told: time.monotonic() > end)
    words = "killed" if killed else "not killed in time,"
    proof.said.append(f"rosk build, {words} in part {part + 1} of {PARTS} of {seconds:.1f} s")
    between = any(dist_of(proof).glob(".rosk-*/takes-place"))
    left = before if between else released(dist_of(proof))
    assert left in (before, check_next(proof))


@pytest.mark.heavy
@pytest.mark.parametrize("after", [None, 0, 0.1, 0.5, 1])
def test_a_stage_that_packs_is_killed(proof: Proof, after: float | None) -> None:
    before = released(dist_of(proof))
    failed = failed_build(proof.project, partial(kill_packing, kernel_release(proof.project), after=after))
    moment = "as it fills its cache" if after is None else f"after {after} s"
    proof.said.append(f"build, with the packing {'' if failed else 'not '}killed {moment}")
    assert failed == (released(dist_of(proof)) == before)
    check_next(proof)
