"""Publishes one image with one large layer, and prints how much memory that took: `sender.py HOST MEGABYTES FOLDER`."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from builder.arch import X86
from builder.publish.content import DOCKER_MANIFEST, Descriptor, compact
from builder.publish.http import PATIENCE
from builder.publish.plan import Part
from builder.publish.sources import Bundle
from tests.publish.material import big_blob, send


def main(host: str, megabytes: str, folder: str) -> None:
    bundle = Bundle()
    blob = big_blob(Path(folder), int(megabytes) << 20)
    bundle.store.add(blob)
    layer = Descriptor(media_type="application/vnd.docker.image.rootfs.diff.tar", digest=blob.digest, size=blob.size)
    config = bundle.store.add_bytes(
        b'{"architecture":"amd64","os":"linux"}', "application/vnd.docker.container.image.v1+json"
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": config.as_json(),
        "layers": [layer.as_json()],
    }
    target = bundle.store.add_bytes(compact(manifest), DOCKER_MANIFEST)
    bundle.parts.append(Part(repository=f"load{megabytes}/os-kernel", v="1", arch=X86, target=target))
    outcomes = send(bundle, host, patience=PATIENCE)
    assert all(each.good for each in outcomes), outcomes
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main(*sys.argv[1:])
