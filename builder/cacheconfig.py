"""The config of a shared cache: which keys lead to which layers, and how it stays small enough to be read.

Source: BuildKit, `cache/remotecache/v1/types` (the format), `solver/exporter.go` and `cache/remotecache/import.go`. For
each step BuildKit writes all keys that have led to it in this engine, those of builds long gone too (`addBacklinks`);
with each edit of a project there are more. And it reads no config above 1 MiB: then it takes nothing from the cache.
"""

from __future__ import annotations

from typing import Any

from builder.publish.content import Descriptor, compact, parse_json, read_descriptor

MEDIA_TYPE = "application/vnd.buildkit.cacheconfig.v0"
LARGEST = 1 << 20
"""Bytes of a config that BuildKit reads at most."""

_BAD = (ValueError, LookupError, TypeError, AttributeError)


def find_config(manifest: bytes) -> Descriptor | None:
    """The config that a cache's manifest names, or its index, as a cache that is no image manifest has; else None.

    Raises:
        ValueError: It is neither a manifest nor an index.
    """
    try:
        document = parse_json(manifest)
        entries = [document.get("config"), *(document.get("manifests") or ())]
        found = [each for each in entries if each and each.get("mediaType") == MEDIA_TYPE]
    except _BAD as error:
        raise ValueError(f"it is no manifest: {error}") from error
    return read_descriptor(found[0]) if found else None


def with_config(manifest: bytes, config: Descriptor) -> bytes:
    """A manifest or an index that names another config."""
    document = parse_json(manifest)
    if "config" in document:
        return compact({**document, "config": config.as_json()})
    listed = [config.as_json() if each.get("mediaType") == MEDIA_TYPE else each for each in document["manifests"]]
    return compact({**document, "manifests": listed})


def trimmed(config: bytes) -> bytes:
    """A config with the keys that its own layers need, and none that led to them in other builds.

    A record with layers is a step of the build that wrote the cache. Of what a step goes by, those are kept that have
    layers too, and contents (of a file, an image, a folder), which are records that go by nothing; all are where there
    is none of these.

    Raises:
        ValueError: It is no config.
    """
    try:
        document = parse_json(config)
        kept = _kept(document["records"])
        place = {old: new for new, old in enumerate(kept)}
        records = [_moved(record, place) for record in kept.values()]
        return compact({**document, "records": records})
    except _BAD as error:
        raise ValueError(f"it is no config of a cache: {error}") from error


def _kept(records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The records to keep by their places, in their order, each with the links to keep."""
    if not all(isinstance(record, dict) for record in records):
        raise ValueError("a record is no object")
    found: dict[int, dict[str, Any]] = {}
    todo = [at for at, record in enumerate(records) if _has_layers(record)]
    while todo:
        if (at := todo.pop()) in found:
            continue
        if at < 0:
            raise ValueError(f"there is no record {at}")
        inputs = [_links(records, each) for each in records[at].get("inputs") or ()]
        found[at] = {**records[at], "inputs": inputs} if inputs else records[at]
        todo += [link["link"] for each in inputs for link in each]
    return dict(sorted(found.items()))


def _links(records: list[dict[str, Any]], links: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The links to keep of those that lead to one input of a step."""
    return [each for each in links if _has_layers(to := records[each["link"]]) or not to.get("inputs")] or links


def _has_layers(record: dict[str, Any]) -> bool:
    return bool(record.get("layers") or record.get("chains"))


def _moved(record: dict[str, Any], place: dict[int, int]) -> dict[str, Any]:
    """A record whose links lead to where the records are now."""
    if "inputs" not in record:
        return record
    inputs = [[{**link, "link": place[link["link"]]} for link in each] for each in record["inputs"]]
    return {**record, "inputs": inputs}
