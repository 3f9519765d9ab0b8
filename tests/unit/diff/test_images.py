"""A release named by one of its images; what a real engine gives is in tests/graph."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.diff.asjson import as_json
from builder.diff.images import references
from builder.diff.run import differences
from builder.errors import EngineError, InputError
from tests.unit.diff.releases import Made, make_module, write_tar

V = "6.12.1-acme"
FILES = {"os-kernel": "kernel.tar", "os-extras": "extras.tar.gz", "os-headers": "build.tar.gz"}


class Engine:
    """Stands in for the engine: saves what it has in the older layout of `docker save`, and pulls what it may."""

    def __init__(self, images: Mapping[str, Path], remote: Mapping[str, Path]) -> None:
        self.images = dict(images)
        self.remote = remote

    def image_id(self, reference: str) -> str | None:
        return "sha256:1" if reference in self.images else None

    def pull(self, reference: str) -> None:
        if reference not in self.remote:
            raise EngineError(f"no {reference}", where="docker pull")
        self.images[reference] = self.remote[reference]

    def save(self, reference: str, tar: Path) -> None:
        tar.write_bytes(self.images[reference].read_bytes())


def write_image(folder: Path, name: str, package: Path) -> Path:
    """The archive of an image with a package in it, and a layer of something else above that."""
    layers = folder / "layer1.tar", folder / "layer2.tar"
    write_tar(layers[0], {FILES[name]: package.read_bytes()})
    write_tar(layers[1], {"etc/motd": b"welcome\n"})
    config = json.dumps({"architecture": "amd64", "config": {}}).encode()
    described = {
        "Config": f"{hashlib.sha256(config).hexdigest()}.json",
        "RepoTags": [name],
        "Layers": ["1/layer.tar", "2/layer.tar"],
    }
    target = folder / f"{name}.tar"
    with tarfile.open(target, "w") as tar:
        for member, content in (
            (described["Config"], config),
            ("1/layer.tar", layers[0].read_bytes()),
            ("2/layer.tar", layers[1].read_bytes()),
            ("manifest.json", json.dumps([described]).encode()),
        ):
            info = tarfile.TarInfo(str(member))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target


def images(made: Made, folder: Path, org: str) -> dict[str, Path]:
    """The images of a release: tag to archive."""
    folder.mkdir()
    members = made.packages()
    packages = {name: folder / file for name, file in FILES.items()}
    write_tar(packages["os-kernel"], members["kernel"])
    write_tar(packages["os-extras"], members["extras"], "gz")
    write_tar(packages["os-headers"], members["headers"], "gz")
    return {f"{org}/{name}:{made.v}": write_image(folder, name, package) for name, package in packages.items()}


def test_any_image_names_the_others() -> None:
    found = {f"os-{kind}": f"localhost:5000/a/b/os-{kind}:{V}_arm64" for kind in ("extras", "headers", "kernel")}
    for reference in found.values():
        assert references(reference) == found
    assert references("os-kernel:1") == {f"os-{kind}": f"os-{kind}:1" for kind in ("extras", "headers", "kernel")}


@pytest.mark.parametrize(
    "word",
    [
        *("", "dist", "./dist", "/no/folder", "acme/os-kernel", "localhost:5000/os-kernel", "acme/os-kernel:"),
        *(f"acme/kernel:{V}", f"acme/os-kernel@sha256:{'a' * 64}", f"acme/os-kernel:{V}@sha256:{'a' * 64}"),
    ],
)
def test_what_is_no_release(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = Engine({}, {})
    Made().write(tmp_path / "old")
    with pytest.raises(InputError, match="neither a folder nor an image of a release") as caught:
        differences(str(tmp_path / "old"), word, note=pytest.fail, engine=engine)
    assert "acme/os-kernel:6.12.1-acme" in caught.value.hint


def test_images_and_folders_give_the_same(tmp_path: Path) -> None:
    old = Made(main={"kernel/a.ko": make_module(V)}, extra={"kernel/b.ko": make_module(V)})
    new = Made(
        main={"kernel/a.ko": make_module(V, code=b"new"), "kernel/b.ko": make_module(V)},
        config={"HZ": "300"},
        firmware={"one.bin": b"one"},
        symvers="0x00000001\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
        image=b"other",
    )
    kept, pulled = images(old, tmp_path / "i", "acme"), images(new, tmp_path / "j", "host/acme")
    told: list[str] = []
    engine = Engine(kept, pulled)
    named = f"acme/os-headers:{V}", f"host/acme/os-kernel:{V}"
    of_images = as_json(differences(*named, note=told.append, engine=engine))
    assert told == [f"pulling {tag}" for tag in references(named[1]).values()]
    folders = str(old.write(tmp_path / "old")), str(new.write(tmp_path / "new"))
    of_folders = as_json(differences(*folders, note=pytest.fail))
    assert of_images["modules"]["moved"] == [{"path": "kernel/b.ko", "old": "extras", "new": "kernel"}]
    for found in (of_images, of_folders):
        # An image carries the kernel package unpacked: its own size is not told.
        found["sizes"] = [
            each for each in found["sizes"] if not each["name"].endswith(" package") or " in " in each["name"]
        ]
        for release in (found["old"], found["new"]):
            del release["name"]
    assert of_images == of_folders


def test_a_folder_and_images(tmp_path: Path) -> None:
    made = Made(main={"kernel/a.ko": make_module(V)}, manifest={"source": {"kind": "tree"}})
    engine = Engine(images(made, tmp_path / "i", "acme"), {})
    found = differences(str(made.write(tmp_path / "old")), f"acme/os-kernel:{V}", note=pytest.fail, engine=engine)
    assert found.same
    assert found.notes == (f"acme/os-kernel:{V} has no manifest: source, patches and toolchain are not compared",)


def test_a_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Made().write(tmp_path / f"acme/os-kernel:{V}")
    assert differences(f"acme/os-kernel:{V}", str(folder), note=pytest.fail, engine=Engine({}, {})).same


def test_an_image_that_cannot_be_had(tmp_path: Path) -> None:
    made = images(Made(), tmp_path / "i", "acme")
    missing = made.popitem()[0]
    with pytest.raises(EngineError, match=f"no {missing}") as caught:
        differences(f"acme/os-kernel:{V}", f"acme/os-kernel:{V}", note=print, engine=Engine(made, {}))
    assert "all three images" in caught.value.hint


def test_an_image_of_something_else(tmp_path: Path) -> None:
    made = images(Made(), tmp_path / "i", "acme")
    made[f"acme/os-kernel:{V}"] = made[f"acme/os-headers:{V}"]
    with pytest.raises(InputError, match=f"acme/os-kernel:{V}: there is no /kernel.tar in it"):
        differences(f"acme/os-kernel:{V}", f"acme/os-kernel:{V}", note=print, engine=Engine(made, {}))


def test_a_damaged_image(tmp_path: Path) -> None:
    made = images(Made(), tmp_path / "i", "acme")
    archive = made[f"acme/os-extras:{V}"]
    archive.write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(InputError, match="no image can be read of it") as caught:
        differences(f"acme/os-kernel:{V}", f"acme/os-kernel:{V}", note=print, engine=Engine(made, {}))
    assert caught.value.where == f"acme/os-extras:{V}"
