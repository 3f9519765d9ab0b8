"""Bring those chunks of an archive out of the build that the machine which asks for it does not have yet.

An archive is chunks one after the other (`builder.stages.pack`), of which an edit changes few. Outputs: `parts.json`,
what the archive is made of, and `chunks`, the new ones in their order. Where the cache has lost one there is nothing:
then the whole archive has to be asked for.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from builder.stages.chunkcache import ChunkCache
from builder.stages.common import stage_main


def write_new(parts: Path, known: Path, cache: ChunkCache, out: Path) -> bool:
    """Write the chunks that are not known one after the other; says whether all of them were there.

    Args:
        parts: What `pack --parts` has written of the archive.
        known: A JSON list of the SHA-256 (hex) of chunks.
        out: The file for them; there is none where one is lost.
    """
    have = set(json.loads(known.read_text()))
    with out.open("wb") as file:
        for part in json.loads(parts.read_text()):
            if part["sha256"] in have:
                continue
            have.add(part["sha256"])
            data = cache.get(part["key"])
            if data is None or hashlib.sha256(data).hexdigest() != part["sha256"]:
                out.unlink()
                return False
            file.write(data)
    return True


def main() -> None:
    """Command line: `--parts FILE --known FILE --cache DIR --out DIR`."""
    parser = argparse.ArgumentParser(prog="newchunks", description=__doc__)
    for option in ("--parts", "--known", "--cache", "--out"):
        parser.add_argument(option, type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    chunks = options.out / "chunks"
    if write_new(options.parts, options.known, ChunkCache(options.cache), chunks):
        (options.out / "parts.json").write_bytes(options.parts.read_bytes())
        print(f"{chunks.stat().st_size} bytes of it are new")
    else:
        print("the cache of the packages has lost a chunk")


if __name__ == "__main__":
    stage_main(main)
