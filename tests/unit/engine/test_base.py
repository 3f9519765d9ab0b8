"""Where the base image is taken from. The engine is a dictionary of images; mmdebstrap is a shell script."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.engine.base import EPOCH, BaseImage, resolve_base
from builder.errors import EngineError


class Engine:
    """An engine with some images, and a registry with others."""

    def __init__(self, *local: str, remote: tuple[str, ...] = ()) -> None:
        self.images = {name: f"sha256:{name}" for name in local}
        self.remote = remote
        self.pulls: list[tuple[str, float | None]] = []
        self.imported = b""

    def image_id(self, reference: str) -> str | None:
        return self.images.get(reference)

    def pull(self, reference: str, *, seconds: float | None = None) -> None:
        self.pulls.append((reference, seconds))
        if reference not in self.remote:
            raise EngineError("failed to resolve reference: lookup registry: no such host")
        self.images[reference] = f"sha256:{reference}"

    def import_tar(self, tar: Path, reference: str) -> None:
        self.imported = tar.read_bytes()
        self.images[reference] = "sha256:imported"


def resolve(engine: Engine, wanted: str = "auto", *, allow_install: bool = True) -> tuple[BaseImage, list[str]]:
    said: list[str] = []
    image = resolve_base(engine, "trixie", wanted, allow_install=allow_install, say=said.append)
    return image, said


@pytest.mark.parametrize("name", ["rosk-base:trixie", "debian:trixie-slim", "debian:trixie"])
def test_a_local_image_needs_no_network(name: str) -> None:
    engine = Engine("debian:bookworm", name)
    assert resolve(engine) == (BaseImage(ref=name, id=f"sha256:{name}", origin="local"), [])
    assert engine.pulls == []


def test_an_own_base_comes_before_debians() -> None:
    assert resolve(Engine("debian:trixie", "rosk-base:trixie"))[0].ref == "rosk-base:trixie"


def test_else_it_is_pulled_within_a_time() -> None:
    engine = Engine(remote=("debian:trixie-slim",))
    image, said = resolve(engine)
    assert image == BaseImage(ref="debian:trixie-slim", id="sha256:debian:trixie-slim", origin="pulled")
    assert said == []
    [(_, seconds)] = engine.pulls
    assert seconds is not None


@pytest.mark.parametrize("local", [True, False])
def test_the_image_that_the_settings_name(local: bool) -> None:
    engine = Engine(*(["mine:1"] if local else []), "rosk-base:trixie", remote=("mine:1",))
    image, _ = resolve(engine, "mine:1")
    assert (image.ref, image.origin) == ("mine:1", "local" if local else "pulled")


def test_a_named_image_that_is_nowhere_is_an_error() -> None:
    with pytest.raises(EngineError):
        resolve(Engine("rosk-base:trixie"), "mine:1")


@pytest.mark.host_programs
class TestBootstrap:
    @pytest.fixture
    def script(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("PATH", str(tmp_path))
        path = tmp_path / "mmdebstrap"
        path.write_text('#!/bin/sh\neval "tar=\\${$#}"\necho "$SOURCE_DATE_EPOCH $*" > "$tar"\n')
        path.chmod(0o755)
        return path

    def test_where_nothing_can_be_pulled(self, script: Path) -> None:
        engine = Engine()
        image, said = resolve(engine, allow_install=False)
        assert image == BaseImage(ref="rosk-base:trixie", id="sha256:imported", origin="bootstrapped")
        assert said == [
            "debian:trixie-slim cannot be pulled (no such host): bootstrapping Debian trixie with mmdebstrap instead"
        ]
        assert engine.imported.decode().startswith(f"{EPOCH} --variant=minbase trixie /")

    def test_a_failure_shows_its_last_lines(self, script: Path) -> None:
        script.write_text("#!/bin/sh\necho 'E: no Release file' >&2; exit 1\n")
        with pytest.raises(EngineError) as caught:
            resolve(Engine())
        assert caught.value.details == ("E: no Release file",)
        assert "toolchain.base" in caught.value.hint

    def test_mmdebstrap_is_missing_and_refused(self, script: Path) -> None:
        script.unlink()
        with pytest.raises(EngineError, match="mmdebstrap") as caught:
            resolve(Engine(), allow_install=False)
        assert "mmdebstrap" in caught.value.hint
