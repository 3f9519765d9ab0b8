"""Through a folder where no network goes: --to oci:FOLDER, --from it elsewhere, and `rosk pull`."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builder.arch import ARCHES
from builder.errors import EngineError, FetchError, InputError, VerifyError
from builder.publish import gate, sources
from builder.publish.artifact import RELEASE_NAME, Attachment, add_release, release_files
from builder.publish.content import OCI_MANIFEST, Store, compact, read_archive
from builder.publish.http import Http
from builder.publish.plan import Part
from builder.publish.pull import Pulled, pull
from builder.publish.run import PublishOptions, publish_layout
from builder.publish.sources import Bundle
from builder.publish.spots import Spots
from builder.publish.transfer import State
from builder.releasefolder import find_release
from builder.settings import Registry
from builder.trust.signing import NAMESPACE
from tests.faultproxy import Fault, fault_proxy
from tests.publish.material import (
    HURRY,
    NAMES,
    VERSION,
    Watch,
    add_image,
    make_bundle,
    make_dist,
    resum,
    save_archive,
    send,
)
from tests.publish.registries import Look


def relay(layout: Path, *hosts: str | Registry) -> list[State]:
    registries = tuple(Registry.model_validate(host) for host in hosts)
    options = PublishOptions(patience=HURRY)
    outcomes = publish_layout(layout, Spots(registries=registries), options, watch=Watch(), note=lambda _: None)
    return [outcome.state for outcome in outcomes]


def carried(layout: Path, into: Path) -> Pulled:
    return pull(f"oci:{layout}", into=into, registry=lambda host: Registry(host=host), note=lambda _: None)


def get(reference: str, into: Path | None = None, **given: Any) -> Pulled:
    def http(registry: Registry) -> Http:
        return Http(ca=registry.ca, patience=HURRY)

    return pull(
        reference, into=into, registry=lambda host: Registry(host=host), note=lambda _: None, http=http, **given
    )


def test_a_layout_carries_a_release_with_all_that_is_attached(
    plain: Look, second: Look, org: str, tmp_path: Path, ungated: list[str]
) -> None:
    bundle = make_bundle(tmp_path / "release", org, ("x86", "arm64"))
    (tmp_path / "sbom.spdx.json").write_text("{}")
    about = Attachment(artifact_type="application/spdx+json", file=tmp_path / "sbom.spdx.json")
    bundle.attach([about], bundle.parts)
    layout = tmp_path / "usb" / "layout"
    assert {each.state for each in send(bundle, plain.host, layouts=(layout,))} == {State.SENT}
    assert {each.state for each in send(bundle, layouts=(layout,))} == {State.THERE}
    assert set(relay(layout, second.host)) == {State.SENT}
    assert ungated == [f"{VERSION}-{org}"] * 2
    for name in (*NAMES, RELEASE_NAME):
        repository = f"{org}/{name}"
        assert plain.tags(repository) == second.tags(repository)
        for tag in plain.tags(repository):
            assert plain.manifest(repository, tag) == second.manifest(repository, tag)
            assert plain.complete(repository, tag) == second.complete(repository, tag)


def test_a_layout_keeps_other_releases(org: str, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    send(make_bundle(tmp_path / "one", org), layouts=(layout,))
    assert {each.state for each in send(make_bundle(tmp_path / "two", f"{org}b"), layouts=(layout,))} == {State.SENT}
    index = json.loads((layout / "index.json").read_text())
    names = {each["annotations"]["org.opencontainers.image.ref.name"] for each in index["manifests"]}
    assert {f"{each}/os-kernel:{VERSION}-{each}" for each in (org, f"{org}b")} <= names
    refused = send(make_bundle(tmp_path / "three", org, seed=2), layouts=(layout,))
    assert {each.state for each in refused} == {State.REFUSED}


def test_a_damaged_layout_is_not_published(plain: Look, org: str, tmp_path: Path, ungated: list[str]) -> None:
    layout = tmp_path / "layout"
    bundle = make_bundle(tmp_path / "one", org)
    send(bundle, layouts=(layout,))
    largest = max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[5] ^= 1
    largest.write_bytes(data)
    with pytest.raises(InputError, match="not what its name says"):
        relay(layout, plain.host)
    # Publishing into it again mends it.
    send(bundle, layouts=(layout,))
    assert set(relay(layout, plain.host)) == {State.SENT}


def test_an_image_that_is_not_the_releases(plain: Look, org: str, tmp_path: Path, ungated: list[str]) -> None:
    """A layout in which somebody has put another image under the tag."""
    layout = tmp_path / "layout"
    bundle = make_bundle(tmp_path / "one", org)
    images = {f"{part.repository}:{part.v}": part.target.digest for part in bundle.parts if part.indexed}
    dist = make_dist(tmp_path / "signed", org, images=images)
    folder = find_release(dist)
    target = add_release(bundle.store, folder, release_files(folder))
    bundle.parts[-1] = Part(
        repository=f"{org}/{RELEASE_NAME}", v=folder.v, arch=bundle.parts[0].arch, target=target, indexed=False
    )
    send(bundle, layouts=(layout,))
    assert set(relay(layout, plain.host)) == {State.SENT}
    other = add_image(bundle.store, "x86", [b"another"])
    bundle.parts[2] = Part(repository=f"{org}/os-kernel", v=folder.v, arch=bundle.parts[0].arch, target=other)
    send(bundle, layouts=(layout,), overwrite=True)
    with pytest.raises(VerifyError, match=r"os-kernel.* is not the release's"):
        relay(layout, plain.host)


def test_nothing_is_published_that_verify_fails(plain: Look, org: str, tmp_path: Path) -> None:
    """These are no kernels: the real checks say so, also of a layout."""
    layout = tmp_path / "layout"
    bundle = make_bundle(tmp_path / "one", org)
    send(bundle, layouts=(layout,))
    with pytest.raises(VerifyError, match="does not pass its checks"):
        relay(layout, plain.host)
    assert not plain.tags(f"{org}/os-kernel")


def test_a_pulled_release_is_the_one_that_was_published(plain: Look, org: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "one", org)
    send(bundle, plain.host, layouts=(tmp_path / "layout",))
    v = f"{VERSION}-{org}"
    found = get(f"{plain.host}/{org}/{RELEASE_NAME}:{v}", tmp_path / "there")
    assert (found.v, found.a, found.digest) == (v, "x86", bundle.parts[-1].target.digest)
    assert contents(tmp_path / "there") == contents(tmp_path / "one/x86")
    assert get(f"oci:{tmp_path / 'layout'}", tmp_path / "from-layout").digest == found.digest
    assert contents(tmp_path / "from-layout") == contents(tmp_path / "there")
    # Again: it is there already. Something else: that stays.
    get(f"{plain.host}/{org}/{RELEASE_NAME}:{v}", tmp_path / "there")
    (tmp_path / "there/kernel/config").write_text("mine\n")
    with pytest.raises(InputError, match="something else"):
        get(f"{plain.host}/{org}/{RELEASE_NAME}@{found.digest}", tmp_path / "there")
    assert (tmp_path / "there/kernel/config").read_text() == "mine\n"


def contents(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_pull_that_breaks_goes_on_where_it_was(plain: Look, org: str, tmp_path: Path) -> None:
    send(make_bundle(tmp_path / "one", org), plain.host)
    reference = f"{org}/{RELEASE_NAME}:{VERSION}-{org}"

    def late_blob(method: str, path: str) -> bool:
        return method == "GET" and "/blobs/" in path and len(proxy.seen) > 4

    with fault_proxy(plain.host, Fault("500", late_blob)) as proxy:
        with pytest.raises(FetchError, match="500"):
            get(f"{proxy.host}/{reference}", tmp_path / "there")
        assert not (tmp_path / "there").exists()
        assert not list(tmp_path.glob(".rosk-*"))
        before = {each.path for each in proxy.sent("GET") if "/blobs/" in each.path}
        proxy.faults.clear()
        proxy.seen.clear()
        get(f"{proxy.host}/{reference}", tmp_path / "there")
        again = {each.path for each in proxy.sent("GET") if "/blobs/" in each.path}
    assert len(before & again) == 1  # the one that failed
    assert contents(tmp_path / "there") == contents(tmp_path / "one/x86")


@pytest.mark.parametrize(
    "title",
    ["../evil", "/etc/evil", "kernel/../../evil", "kernel/sub/evil", ".hidden", "kernel", "a\nb", "", "kernel/"],
)
def test_a_name_that_leads_elsewhere(title: str, org: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        get(hostile(tmp_path, org, title), tmp_path / "in" / "there")
    assert not (tmp_path / "in" / "there").exists()
    assert not list(tmp_path.rglob("*evil*"))


def hostile(tmp_path: Path, org: str, title: str, data: bytes = b"evil") -> str:
    """A layout with a release that has one file more, under this name."""
    bundle = make_bundle(tmp_path / "one", org)
    document = bundle.store.document(bundle.parts[-1].target.digest)
    layer = bundle.store.add_bytes(data, "text/plain").as_json()
    document["layers"].append({**layer, "annotations": {"org.opencontainers.image.title": title}})
    target = bundle.store.add_bytes(compact(document), OCI_MANIFEST)
    part = bundle.parts[-1]
    bundle.parts[-1] = Part(repository=part.repository, v=part.v, arch=part.arch, target=target, indexed=False)
    send(bundle, layouts=(tmp_path / "layout",))
    return f"oci:{tmp_path / 'layout'}"


def test_a_package_that_sha256sums_does_not_have(org: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="SHA256SUMS") as caught:
        get(hostile(tmp_path, org, "kernel/more.tar.gz"), tmp_path / "there")
    assert caught.value.details == ("kernel/more.tar.gz is not in SHA256SUMS",)


@pytest.mark.parametrize(
    ("reference", "what"),
    [
        ("acme/os-kernel-release:1", "no reference"),
        ("localhost:1/acme/os-kernel-release", "no reference"),
        ("oci:nowhere", "no whole OCI layout"),
        ("https://registry.example/acme/os-kernel-release:1", "no reference"),
    ],
)
def test_references_that_are_none(reference: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=what):
        get(reference, tmp_path / "there")


def test_an_image_is_no_release(plain: Look, org: str, tmp_path: Path) -> None:
    send(make_bundle(tmp_path / "one", org), plain.host)
    with pytest.raises(InputError, match="no release of rosk"):
        get(f"{plain.host}/{org}/os-kernel:{VERSION}-{org}", tmp_path / "there")
    with pytest.raises(FetchError, match="no such reference"):
        get(f"{plain.host}/{org}/{RELEASE_NAME}:nothing", tmp_path / "there")


def test_a_release_that_is_not_what_its_sums_say(org: str, tmp_path: Path) -> None:
    dist = make_dist(tmp_path / "dist", org)
    (dist / "kernel/config").write_text("changed\n")
    (dist / "kernel/more").write_text("more\n")
    with pytest.raises(VerifyError) as caught:
        release_files(find_release(dist))
    assert caught.value.details == ("kernel/config has another checksum", "kernel/more is not in SHA256SUMS")


def test_the_artifact_is_the_same_whatever_a_machine_saw_of_it(org: str, tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        dist = make_dist(tmp_path / str(number), org)
        (dist / "verify.json").write_text(str(number))
        (dist / "build.log").write_text(str(number))
        folder = find_release(dist)
        digests.add(add_release(Store(), folder, release_files(folder)).digest)
    assert len(digests) == 1


def test_releases_are_found_below_a_folder_too(org: str, tmp_path: Path) -> None:
    """What was rejected is not one of them."""
    make_dist(tmp_path / "dist", org)
    assert [each.root.name for each in sources.find_releases(tmp_path / "dist")] == ["dist"]
    for name in ("arm64", "rejected", ".rosk-1"):
        make_dist(tmp_path / "dist" / name, org, "arm64")
    assert [each.root.name for each in sources.find_releases(tmp_path / "dist")] == ["dist", "arm64"]
    make_dist(tmp_path / "all/x86", org)
    assert [each.a for each in sources.find_releases(tmp_path / "all")] == ["x86"]
    with pytest.raises(InputError, match="no kernel package"):
        sources.find_releases(tmp_path / "nothing")


def test_signatures_and_sboms_are_files_of_the_release(org: str, tmp_path: Path) -> None:
    dist = make_dist(tmp_path / "dist", org)
    for name in ("SHA256SUMS.asc", "sbom.spdx.json", "provenance.intoto.json", "notes.txt"):
        (dist / name).write_text("{}")
    names = [file.name for file in release_files(find_release(dist))]
    assert {"SHA256SUMS.asc", "sbom.spdx.json", "provenance.intoto.json", "images"} <= set(names)
    assert "notes.txt" not in names
    assert names[-1] == "SHA256SUMS"


class Engine:
    """An engine that has these images, as archives of `docker save`."""

    def __init__(self, store: Store, images: dict[str, object]) -> None:
        self.store = store
        self.images = images

    def image_id(self, reference: str) -> str | None:
        return "sha256:1" if reference in self.images else None

    def save(self, reference: str, tar: Path) -> None:
        save_archive(tar, self.store, self.images[reference], reference)  # type: ignore[arg-type]


def test_images_out_of_archives_have_the_digests_of_the_manifest(org: str, tmp_path: Path, ungated: list[str]) -> None:
    store = Store()
    v = f"{VERSION}-{org}"
    images = {f"{org}/{name}:{v}": add_image(store, "x86", [b"shared", name.encode()]) for name in NAMES}
    dist = make_dist(tmp_path / "dist", org, images={tag: image.digest for tag, image in images.items()})
    engine = Engine(store, dict(images))
    work = tmp_path / "work"
    work.mkdir()

    def take() -> Bundle:
        release = sources.checked(find_release(dist), note=lambda _: None, terms=gate.Terms())
        return sources.from_dist([release], engine, work, note=lambda _: None)

    bundle = take()
    assert [part.target.digest for part in bundle.parts[:3]] == [image.digest for image in images.values()]
    for part in bundle.parts[:3]:
        document = bundle.store.document(part.target.digest)
        assert bundle.store.blob(document["layers"][0]["digest"]).read() == b"shared"
    engine.images[f"{org}/os-kernel:{v}"] = add_image(store, "x86", [b"another"])
    with pytest.raises(VerifyError, match="not the release's"):
        take()
    del engine.images[f"{org}/os-kernel:{v}"]
    with pytest.raises(EngineError, match="os-kernel"):
        take()
    engine.images[f"{org}/os-kernel:{v}"] = arm64 = add_image(store, "arm64", [b"another"])
    manifest = json.loads((dist / "manifest.json").read_text())
    manifest["images"][f"{org}/os-kernel:{v}"] = arm64.digest
    (dist / "manifest.json").write_text(json.dumps(manifest))
    resum(dist)
    with pytest.raises(VerifyError, match="not for amd64"):
        take()


def test_archives_that_are_not_right(tmp_path: Path) -> None:
    store = Store()
    image = add_image(store, "x86", [b"layer" * 100])
    archive = tmp_path / "image.tar"
    save_archive(archive, store, image, "acme/os-kernel:1")
    whole = archive.read_bytes()
    archive.write_bytes(whole.replace(b"layerlayer", b"layerLayer", 1))
    with pytest.raises(InputError, match="not what its name says"):
        read_archive(archive, Store())
    archive.write_bytes(whole[:1000])
    with pytest.raises(InputError):
        read_archive(archive, Store())


def sign(root: Path, key: Path) -> Path:
    """Sign a release's checksums with a new key of ssh; returns the public key's file."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (root / "SHA256SUMS.sig").unlink(missing_ok=True)
    words: list[str | Path] = ["ssh-keygen", "-Y", "sign", "-f", key, "-n", NAMESPACE, root / "SHA256SUMS"]
    subprocess.run(words, check=True, capture_output=True)
    return key.with_suffix(".key.pub")


def publish_files(dist: Path, org: str) -> str:
    """Publish the files of a release into a layout beside it; returns the reference."""
    bundle, folder = Bundle(), find_release(dist)
    target = add_release(bundle.store, folder, release_files(folder))
    bundle.parts = [
        Part(repository=f"{org}/{RELEASE_NAME}", v=folder.v, arch=ARCHES["x86"], target=target, indexed=False)
    ]
    layout = dist.with_name(f"{dist.name}-layout")
    shutil.rmtree(layout, ignore_errors=True)
    send(bundle, layouts=(layout,))
    return f"oci:{layout}"


def test_what_no_trusted_key_has_signed_is_not_pulled(org: str, tmp_path: Path) -> None:
    """Nothing is there then; signed by one of the keys, it comes."""
    dists = {name: make_dist(tmp_path / name, org) for name in ("unsigned", "theirs", "ours")}
    keys = {name: sign(dists[name], tmp_path / f"{name}.key") for name in ("theirs", "ours")}
    unsigned, theirs, ours = (publish_files(dist, org) for dist in dists.values())
    trusted, into = (keys["ours"],), tmp_path / "into"
    refused = [(unsigned, False, "it is not signed"), (theirs, False, "no trusted key"), (theirs, True, "no trusted")]
    for reference, allowed, what in refused:
        with pytest.raises(VerifyError, match=what):
            get(reference, into, keys=trusted, allow_unsigned=allowed)
        assert not into.exists() and not list(tmp_path.glob(".rosk-*"))
    assert get(unsigned, into, keys=trusted, allow_unsigned=True).folder == into
    get(ours, tmp_path / "signed", keys=trusted)
    assert (tmp_path / "signed/SHA256SUMS.sig").read_bytes() == (tmp_path / "ours/SHA256SUMS.sig").read_bytes()

    sums = tmp_path / "ours/SHA256SUMS"
    sums.write_text("".join(reversed(sums.read_text().splitlines(keepends=True))))  # all true, and not what was signed
    with pytest.raises(VerifyError, match="no trusted key"):
        get(publish_files(dists["ours"], org), tmp_path / "changed", keys=trusted)
    assert not (tmp_path / "changed").exists()
