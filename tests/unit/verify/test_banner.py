"""The release and the architecture that a kernel image names, on both architectures and in all their wrappings."""

from __future__ import annotations

import gzip
import lzma
import struct

import pytest

from builder.verify.banner import read_banner

V = "6.12.99-acme"
TEXT = f"Linux version {V} (build@host) (gcc 14.2.0) #1 SMP".encode()


def bzimage(text: bytes = f"{V} (build@host) #1 SMP".encode(), *, protocol: int = 0x20F, offset: int = 0x3A00) -> bytes:
    """A boot sector and setup as in Documentation/arch/x86/boot.rst."""
    data = bytearray(0x8000)
    data[0x1FE:0x206] = b"\x55\xaa\xeb\x6aHdrS"
    struct.pack_into("<H", data, 0x206, protocol)
    struct.pack_into("<H", data, 0x20E, offset)
    if offset:
        data[offset + 0x200 : offset + 0x200 + len(text)] = text
    return bytes(data)


def image(text: bytes = TEXT) -> bytes:
    """An Image as in Documentation/arch/arm64/booting.rst."""
    return bytes(0x38) + b"ARM\x64" + bytes(5000) + text + bytes(5000)


def zboot(payload: bytes, method: bytes) -> bytes:
    """An Image inside an EFI program, as drivers/firmware/efi/libstub/zboot-header.S has it."""
    head = b"MZ\0\0zimg" + struct.pack("<IIII", 512, len(payload), 0, 0) + method + b"\0"
    return head.ljust(512, b"\0") + payload + b"after it"


@pytest.mark.parametrize(
    ("data", "a"),
    [
        (bzimage(), "x86"),
        (image(), "arm64"),
        (gzip.compress(image()), "arm64"),
        (zboot(gzip.compress(image()), b"gzip"), "arm64"),
        (image(TEXT + b"\0" + TEXT), "arm64"),
    ],
    ids=["bzImage", "Image", "Image.gz", "vmlinuz.efi", "named twice"],
)
def test_a_kernel_image(data: bytes, a: str) -> None:
    banner = read_banner(data)
    assert (banner.a, set(banner.releases)) == (a, {V})


@pytest.mark.parametrize(
    "data",
    [
        bzimage(b""),
        bzimage(offset=0),
        bzimage(protocol=0x105),
        bzimage(offset=0xFF00),
        image(b"Linux version %s (%s)"),
        image(b""),
    ],
    ids=["empty", "no text", "an old protocol", "outside", "a format", "none"],
)
def test_one_that_names_no_release(data: bytes) -> None:
    assert read_banner(data).releases == set()


def test_two_releases() -> None:
    assert read_banner(image(TEXT + TEXT.replace(b"6.12", b"6.11"))).releases == {V, "6.11.99-acme"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "neither"),
        (b"\x7fELF" + bytes(5000), "neither"),
        (gzip.compress(bzimage())[:500], "neither"),
        (b"\x1f\x8b\xff" + bytes(100), "gzip is damaged"),
        (zboot(lzma.compress(image()), b"xzkern"), "xzkern"),
        (b"MZ\0\0zimg", "neither"),
    ],
    ids=["nothing", "vmlinux", "a bzImage.gz", "no gzip", "xz", "cut"],
)
def test_no_image(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_banner(data)
