"""Which tags a release gets, by the contract; no registry is needed to know that."""

from __future__ import annotations

import json

import pytest

from builder.arch import ARCHES
from builder.errors import InputError
from builder.publish.content import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor, Store
from builder.publish.plan import Part, Tag, expand, plan_tags

V = "6.12.64-acme"


def part(arch: str, name: str = "os-kernel", *, v: str = V, kind: str = OCI_MANIFEST, indexed: bool = True) -> Part:
    digest = f"sha256:{hash((arch, name, v)) % 16**60:064x}"
    target = Descriptor(
        media_type=kind, digest=digest, size=10, platform={"architecture": ARCHES[arch].oci, "os": "linux"}
    )
    return Part(repository=f"acme/{name}", v=v, arch=ARCHES[arch], target=target, indexed=indexed)


def names(tags: tuple[Tag, ...]) -> list[str]:
    return [f"{tag.repository}:{tag.tag}" for tag in tags]


def test_amd64_has_no_suffix_and_no_index() -> None:
    x86 = part("x86")
    (tag,) = plan_tags([x86], Store())
    assert (tag.tag, tag.target) == (V, x86.target)


def test_arm64_alone_has_no_plain_tag() -> None:
    assert names(plan_tags([part("arm64")], Store())) == [f"acme/os-kernel:{V}_arm64"]


@pytest.mark.parametrize(("kind", "index"), [(OCI_MANIFEST, OCI_INDEX), (DOCKER_MANIFEST, DOCKER_LIST)])
def test_an_index_is_of_the_kind_of_its_images(kind: str, index: str) -> None:
    store = Store()
    arm64, x86 = part("arm64", kind=kind), part("x86", kind=kind)
    tags = {tag.tag: tag.target for tag in plan_tags([arm64, x86], store)}
    assert set(tags) == {V, f"{V}_arm64"}
    assert tags[f"{V}_arm64"] == arm64.target
    document = store.document(tags[V].digest)
    assert (tags[V].media_type, document["mediaType"]) == (index, index)
    assert [each["digest"] for each in document["manifests"]] == [x86.target.digest, arm64.target.digest]
    assert [each["platform"] for each in document["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
    ]
    assert plan_tags([x86, arm64], Store())[-1].target == tags[V]  # the order of what was given does not matter
    assert json.dumps(document)


def test_files_have_no_index() -> None:
    parts = [part(arch, "os-kernel-release", indexed=False) for arch in ("x86", "arm64")]
    tags = plan_tags(parts, Store())
    assert [(tag.tag, tag.target) for tag in tags] == [(V, parts[0].target), (f"{V}_arm64", parts[1].target)]


def test_moving_tags_come_last_and_have_the_suffix() -> None:
    tags = plan_tags([part("x86"), part("arm64")], Store(), ["{series}", "{version}-stable", "latest"])
    fixed, moving = [tag for tag in tags if not tag.moving], [tag for tag in tags if tag.moving]
    assert tags == (*fixed, *moving)
    expected = {f"{name}{suffix}" for name in ("6.12", "6.12.64-stable", "latest") for suffix in ("", "_arm64")}
    assert {tag.tag for tag in moving} == expected
    plain = {tag.tag: tag.target for tag in tags}
    assert plain["6.12"] == plain["latest"] == plain[V]


def test_two_series_at_once() -> None:
    parts = [part("x86"), part("x86", v="6.6.9-acme")]
    moving = {tag.tag: tag.target for tag in plan_tags(parts, Store(), ["{series}"]) if tag.moving}
    assert moving == {"6.12": parts[0].target, "6.6": parts[1].target}
    with pytest.raises(InputError, match="cannot follow two releases"):
        plan_tags(parts, Store(), ["latest"])


def test_one_architecture_twice() -> None:
    with pytest.raises(InputError, match="two of acme/os-kernel"):
        plan_tags([part("x86"), part("x86")], Store())


@pytest.mark.parametrize(
    ("template", "v", "tag"),
    [
        ("{series}", "6.12.64-acme", "6.12"),
        ("{series}", "6.12.0-acme", "6.12"),
        ("v{version}", "6.12.64-acme", "v6.12.64"),
        ("latest", "6.12.64-acme", "latest"),
        ("{series}-{suffix}", "6.12.64-acme-cloud", "6.12-acme-cloud"),
    ],
)
def test_what_a_moving_tag_is(template: str, v: str, tag: str) -> None:
    assert expand(template, v) == tag
