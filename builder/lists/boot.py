"""Modules that a machine may need to find and mount its root file system, by kind, each kind with its reason.

The extras package is installed by a service, from a root file system that is mounted: what is needed to get there has
to be in the kernel package. The kinds are those of which distributions gather an initramfs for unknown machines
(initramfs-tools' MODULES=most, mkinitcpio's hooks `block`, `filesystems`, `keyboard`). A project may know better: that
one of these lands in the extras is a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from builder.stages.modules import normal


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of modules: their names as kmod writes them, and why a machine needs one to boot."""

    names: tuple[str, ...]
    reason: str


KINDS = (
    Kind(
        names=("ext4", "xfs", "btrfs", "f2fs", "squashfs", "erofs", "isofs", "overlay"),
        reason="a root file system, or a layer of one, may be of this type",
    ),
    Kind(names=("vfat", "nls_cp437", "nls_iso8859_1"), reason="the boot partition is FAT, with these character sets"),
    Kind(names=("loop",), reason="an image file that holds the root file system is mounted through it"),
    Kind(
        names=("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_scsi"),
        reason="the disk of a virtual machine of KVM is behind it",
    ),
    Kind(names=("hv_vmbus", "hv_storvsc"), reason="the disk of a virtual machine of Hyper-V is behind it"),
    Kind(names=("vmw_pvscsi", "mptspi", "mptsas"), reason="the disk of a virtual machine of VMware is behind it"),
    Kind(names=("xen_blkfront",), reason="the disk of a virtual machine of Xen is behind it"),
    Kind(names=("nvme",), reason="an NVMe disk is behind it"),
    Kind(names=("ahci", "ata_piix", "ata_generic", "sd_mod"), reason="a SATA, IDE or SCSI disk is behind it"),
    Kind(names=("cdrom", "sr_mod"), reason="a system that boots from an ISO image reads it from this drive"),
    Kind(names=("mmc_block", "sdhci_pci", "sdhci_acpi"), reason="an eMMC or SD card is behind it"),
    Kind(
        names=("xhci_pci", "ehci_pci", "usb_storage", "uas"),
        reason="a system that boots from a USB stick reads it through this",
    ),
    Kind(names=("dm_mod", "md_mod", "raid0", "raid1", "raid10"), reason="the root file system may be on LVM or RAID"),
)

REASONS: Mapping[str, str] = {name: kind.reason for kind in KINDS for name in kind.names}


def boot_reason(path: str) -> str | None:
    """Why a machine may need a module to boot, or None."""
    return REASONS.get(normal(path))
