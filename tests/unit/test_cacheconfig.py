"""The config of a shared cache, without the keys of other builds; and such a cache in a folder."""

from __future__ import annotations

import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from builder import cachesize
from builder.cacheconfig import LARGEST, MEDIA_TYPE, find_config, trimmed, with_config
from builder.cachesize import keep_readable
from builder.project import Project, load_project
from builder.publish.content import OCI_INDEX, OCI_MANIFEST, Descriptor
from tests.unit.projects import write_project

NAME = "org.opencontainers.image.ref.name"
FORM = "type=local,dest={},tag=acme,mode=max"


def record(digest: str, *inputs: list[int], layer: int | None = None, selector: str = "") -> dict[str, Any]:
    """A record as BuildKit writes it."""
    found: dict[str, Any] = {"digest": f"sha256:{digest}"}
    if layer is not None:
        found["layers"] = [{"layer": layer, "createdAt": "2026-11-27T00:00:00Z"}]
    if inputs:
        more = {"selector": selector} if selector else {}
        found["inputs"] = [[{**more, "link": at} for at in each] for each in inputs]
    return found


def history(builds: int) -> dict[str, Any]:
    """A cache of a build after others, each of which had another context with the same `patches` and base."""
    contexts = [record(f"context{number}") for number in range(builds)]
    copies = [record("copy", [number]) for number in range(builds)]
    copies[-1]["layers"] = [{"layer": 0}]
    content, base = 2 * builds, 2 * builds + 1
    step = record("patched", [base], [*range(builds, 2 * builds), content], layer=1, selector="sha256:patches")
    records = [*contexts, *copies, record("content"), record("base"), step]
    return {"layers": [{"blob": "sha256:a", "parent": -1}, {"blob": "sha256:b", "parent": -1}], "records": records}


def packed(document: object) -> bytes:
    return json.dumps(document).encode()


def test_keys_of_other_builds_are_left_out() -> None:
    found = json.loads(trimmed(packed(history(50))))
    assert found["layers"] == history(50)["layers"]
    assert [each["digest"].removeprefix("sha256:") for each in found["records"]] == [
        "context49", "copy", "content", "base", "patched",
    ]  # fmt: skip
    _, copy, _, _, patched = found["records"]
    assert copy["inputs"] == [[{"link": 0}]]
    assert copy["layers"] == [{"layer": 0}]
    base, sources = patched["inputs"]
    assert [link["link"] for link in base] == [3]
    assert sources == [{"selector": "sha256:patches", "link": 1}, {"selector": "sha256:patches", "link": 2}]


def test_it_is_as_large_after_many_builds_as_after_one() -> None:
    few, many = (len(trimmed(packed(history(builds)))) for builds in (1, 99))
    assert many - few < 10  # a context's name has one digit more
    once = trimmed(packed(history(99)))
    assert trimmed(once) == once


def test_a_step_whose_inputs_have_no_layers_keeps_them_all() -> None:
    records = [record("a"), record("b"), record("x", [0]), record("y", [1]), record("z", [2, 3], layer=0)]
    document = {"layers": [{"blob": "sha256:a", "parent": -1}], "records": records}
    assert json.loads(trimmed(packed(document))) == document


def test_layers_of_several_results() -> None:
    """A result that is several layers (`chains`) is one as well."""
    chained = {"digest": "sha256:c", "chains": [{"layers": [0], "createdAt": "2026-11-27T00:00:00Z"}]}
    document = {"layers": [{"blob": "sha256:a", "parent": -1}], "records": [chained, record("lone")]}
    assert json.loads(trimmed(packed(document)))["records"] == [chained]


def test_records_in_a_circle_end() -> None:
    records = [record("a", [1], layer=0), record("b", [0], layer=0)]
    assert json.loads(trimmed(packed({"layers": [], "records": records})))["records"] == records


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"records": [1]}',
        b'{"records": 1}',
        b"[" * 100_000,
        packed({"records": [record("a", [7], layer=0)]}),
        packed({"records": [record("a", [-1], layer=0), record("b")]}),
        packed({"records": [{"layers": [1], "inputs": [[{}]]}]}),
        packed({"records": [{"layers": [1], "inputs": [["link"]]}]}),
    ],
)
def test_what_is_no_config(text: bytes) -> None:
    with pytest.raises(ValueError, match="it is no config of a cache"):
        trimmed(text)


def test_manifests_that_name_a_config() -> None:
    old = {"mediaType": MEDIA_TYPE, "digest": f"sha256:{'0' * 64}", "size": 5}
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": f"sha256:{'1' * 64}", "size": 7}
    new = Descriptor(media_type=MEDIA_TYPE, digest=f"sha256:{'2' * 64}", size=3)
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": old, "layers": [layer]}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [layer, old]}
    for document, key in ((manifest, "layers"), (index, "manifests")):
        found = find_config(packed(document))
        assert found is not None and found.size == 5
        changed = json.loads(with_config(packed(document), new))
        assert changed[key][0] == layer
        assert find_config(packed(changed)) == new
    assert find_config(packed({**manifest, "config": layer})) is None
    with pytest.raises(ValueError, match="it is no manifest"):
        find_config(b"[]")


def blob(folder: Path, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    path = folder / "blobs/sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def write_cache(folder: Path, config: bytes, *, tag: str = "acme") -> None:
    """A cache as BuildKit writes it to a folder, beside those that are there."""
    described = {"mediaType": MEDIA_TYPE, **blob(folder, config)}
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": []}
    entry = {"mediaType": OCI_MANIFEST, **blob(folder, packed(manifest)), "annotations": {NAME: tag}}
    index = folder / "index.json"
    before = json.loads(index.read_text())["manifests"] if index.exists() else []
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": [*before, entry]}))


def read_cache(folder: Path, tag: str = "acme") -> bytes:
    """The config of a cache in a folder; everything on the way to it is what its digest says."""
    entries = json.loads((folder / "index.json").read_text())["manifests"]
    (entry,) = [each for each in entries if each["annotations"][NAME] == tag]
    return read_blob(folder, json.loads(read_blob(folder, entry))["config"])


def read_blob(folder: Path, described: dict[str, Any]) -> bytes:
    data = Path(folder, "blobs", described["digest"].replace(":", "/")).read_bytes()
    assert (described["digest"], described["size"]) == (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
    return data


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return load_project(write_project(tmp_path / "project"), arch="x86")


def test_a_cache_in_a_folder_is_made_small(tmp_path: Path, project: Project) -> None:
    folder = tmp_path / "the cache, of all"
    large = packed(history(9000))
    assert len(large) > LARGEST
    write_cache(folder, large, tag="other")
    write_cache(folder, large)
    said: list[str] = []
    keep_readable([f'type=local,"dest={folder}",tag=acme'], project, say=said.append, warn=pytest.fail)
    assert read_cache(folder) == trimmed(large)
    assert read_cache(folder, "other") == large
    assert said == [
        f"the keys of the cache {folder} were {len(large)} bytes; those of other builds are left out:"
        f" {len(trimmed(large))}"
    ]


def test_one_that_can_be_read_stays_as_it_is(tmp_path: Path, project: Project) -> None:
    write_cache(tmp_path, small := packed(history(9)))
    index = (tmp_path / "index.json").read_bytes()
    keep_readable([FORM.format(tmp_path)], project, say=pytest.fail, warn=pytest.fail)
    assert read_cache(tmp_path) == small
    assert (tmp_path / "index.json").read_bytes() == index


def test_another_build_writes_its_own_meanwhile(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cache(tmp_path, packed(history(50)))

    def slow(config: bytes) -> bytes:
        (tmp_path / "index.json").unlink()
        write_cache(tmp_path, b"{}")
        return trimmed(config)

    monkeypatch.setattr(cachesize, "trimmed", slow)
    keep_readable([FORM.format(tmp_path)], project, say=lambda _: None, warn=pytest.fail, largest=0)
    assert read_cache(tmp_path) == b"{}"


def test_another_build_has_the_index(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """buildx holds a lock as it writes one, and writes it in place."""
    write_cache(tmp_path, large := packed(history(50)))
    before = (tmp_path / "index.json").stat()
    warned: list[str] = []
    with (tmp_path / "index.json.lock").open("a") as held, monkeypatch.context() as patch:
        fcntl.flock(held, fcntl.LOCK_EX)
        patch.setattr("builder.cachefolder._WAIT", 0.0)
        keep_readable([FORM.format(tmp_path)], project, say=pytest.fail, warn=warned.append, largest=0)
    assert read_cache(tmp_path) == large and "cannot be made smaller" in warned[0]
    with (tmp_path / "index.json").open("rb") as opened:
        keep_readable([FORM.format(tmp_path)], project, say=lambda _: None, warn=pytest.fail, largest=0)
        assert read_cache(tmp_path) == trimmed(large)
        assert json.load(opened) == json.loads((tmp_path / "index.json").read_text())
    assert (tmp_path / "index.json").stat().st_ino == before.st_ino


def test_one_that_stays_too_large(tmp_path: Path, project: Project) -> None:
    many = {"layers": [], "records": [record(f"{number:064}", layer=0) for number in range(9000)]}
    write_cache(tmp_path, large := packed(many))
    warned: list[str] = []
    keep_readable([FORM.format(tmp_path)], project, say=lambda _: None, warn=warned.append)
    assert warned == [f"the cache {tmp_path} is too large to be read: {len(large)} bytes of keys, {LARGEST} at most"]


@pytest.mark.parametrize("config", [b"no JSON" * LARGEST, packed({"records": 1, "more": "x" * LARGEST})])
def test_one_that_cannot_be_made_smaller(tmp_path: Path, project: Project, config: bytes) -> None:
    write_cache(tmp_path, config)
    warned: list[str] = []
    keep_readable([FORM.format(tmp_path)], project, say=pytest.fail, warn=warned.append)
    assert len(warned) == 1
    assert "too large to be read" in warned[0] and "cannot be made smaller: it is no config" in warned[0]
    assert read_cache(tmp_path) == config


@pytest.mark.parametrize(
    "index",
    [
        "[]",
        '{"manifests": [1]}',
        '{"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "acme"}, "digest": "../../x"}]}',
    ],
)
def test_a_folder_that_is_damaged(tmp_path: Path, project: Project, index: str) -> None:
    (tmp_path / "index.json").write_text(index)
    said: list[str] = []
    keep_readable([FORM.format(tmp_path)], project, say=said.append, warn=pytest.fail)
    assert [line.partition(": ")[0] for line in said] == [f"cannot look at the cache {tmp_path}"]
    assert (tmp_path / "index.json").read_text() == index


@pytest.mark.parametrize("form", ["type=local,dest=/none/at/all", "type=s3,bucket=b", "type=gha", "type=inline"])
def test_what_is_not_there_or_elsewhere(project: Project, form: str) -> None:
    keep_readable([form], project, say=pytest.fail, warn=pytest.fail)
