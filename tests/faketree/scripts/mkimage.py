# SPDX-License-Identifier: GPL-2.0
"""Make a boot image with the magic numbers and the version of a real one: ARCH gzip|xz VMLINUX VERSION OUT.

One for arm64 is not compressed, and tells its version in the text that a kernel prints at its start.
"""

import gzip
import lzma
import sys
from pathlib import Path

arch, method, vmlinux, version, out = sys.argv[1:]
setup = bytearray(1024)
if arch == "x86":  # Documentation/arch/x86/boot.rst
    setup[0x1F1] = 1
    setup[0x1FE:0x200] = b"\x55\xaa"
    setup[0x202:0x206] = b"HdrS"
    setup[0x206:0x208] = (0x20F).to_bytes(2, "little")
    setup[0x20E:0x210] = (0x300 - 0x200).to_bytes(2, "little")
else:  # Documentation/arch/arm64/booting.rst
    setup[0x38:0x3C] = b"ARMd"
    version = f"Linux version {version.replace(' ', ' (', 1)})"
setup[0x300 : 0x300 + len(version)] = version.encode()
content = Path(vmlinux).read_bytes()
if arch == "x86":
    content = lzma.compress(content, preset=0) if method == "xz" else gzip.compress(content, mtime=0)
Path(out).parent.mkdir(parents=True, exist_ok=True)
Path(out).write_bytes(bytes(setup) + content)
