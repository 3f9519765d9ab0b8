"""Runs in a container: gets Debian's newest prebuilt kernel with apt, as the archive that packaging starts from.

Leaves in the folder that it is given: `kernel.tar` (boot/, lib/modules/V/ with plain modules, as `make tar-pkg` makes
it) and `modules` (the path of each module, one a line). Prints one JSON object.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

META = "linux-image-amd64"
OPENERS = {".xz": "xz", ".zst": "zstd", ".gz": "gzip"}


def say(*argv: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run(argv, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def unpack(module: Path) -> None:
    """Make a compressed module a plain one."""
    remove = ["--rm"] if module.suffix == ".zst" else []
    subprocess.run([OPENERS[module.suffix], "-d", "-q", "-f", *remove, str(module)], check=True)


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "root").mkdir(parents=True)
    say("apt-get", "-qq", "update")
    package = re.findall(r"Depends: (linux-image-\S+)", say("apt-cache", "depends", META))[0]
    say("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package, cwd=folder)
    (deb,) = folder.glob("*.deb")
    version = say("dpkg-deb", "--field", deb, "Version").strip()
    say("dpkg-deb", "--extract", deb, folder / "deb")
    modules = next(path for path in (folder / "deb/usr/lib/modules", folder / "deb/lib/modules") if path.is_dir())
    (folder / "root/lib").mkdir()
    modules.rename(folder / "root/lib/modules")
    (folder / "deb/boot").rename(folder / "root/boot")
    (tree,) = (folder / "root/lib/modules").iterdir()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(unpack, [path for suffix in OPENERS for path in tree.rglob(f"*.ko{suffix}")]))
    found = sorted(tree.rglob("*.ko"))
    (folder / "modules").write_text("".join(f"{path.relative_to(tree)}\n" for path in found))
    size = sum(path.stat().st_size for path in found)
    say("tar", "-cf", folder / "kernel.tar", "-C", folder / "root", ".")
    for left in (folder / "deb", folder / "root"):
        shutil.rmtree(left)
    deb.unlink()
    told = {"package": package, "version": version, "release": tree.name, "modules": len(found), "bytes": size}
    (folder / "kernel.json").write_text(json.dumps(told))


main(Path(sys.argv[1]))
