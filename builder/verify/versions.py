"""Checks that all parts of a release are of one kernel release V, and of one architecture."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from builder.arch import ARCHES
from builder.stages.elf import Elf, parse_modinfo
from builder.verify.banner import Banner
from builder.verify.model import Finding, check, count, skipped, verdict
from builder.verify.subject import MODULE_KINDS, Subject, plain

ELF_MACHINES = {"x86": 62, "arm64": 183}
"""Package architecture to `e_machine` (EM_X86_64, EM_AARCH64 of elf.h)."""
IMAGES = ("os-extras", "os-headers", "os-kernel")
"""The images of a release, in the order of the file `images`."""
_CONFIG_OPTIONS = {"x86": "CONFIG_X86", "arm64": "CONFIG_ARM64"}


@check("boot-files", meaning="the OS boots a wrong kernel, or finds none: it takes what matches boot/vmlinuz-*")
def boot_files(subject: Subject) -> Finding:
    """Exactly one vmlinuz, with its System.map and config, and no uncompressed kernel."""
    v = subject.release.v
    needed = {f"boot/{name}-{v}" for name in ("vmlinuz", "System.map", "config")}
    files = {plain(member.name): member for member in subject.members("kernel") if not member.isdir()}
    found = {name for name in files if name.startswith("boot/")}
    wrong = [f"{name} is missing" for name in sorted(needed - found)]
    wrong += [f"{name} is empty or no file" for name in sorted(needed & found) if not files[name].size]
    wrong += [
        f"{name} is one too many"
        for name in sorted(found - needed)
        if re.match(r"boot/(vmlinu[xz]|System\.map|config)(-|$)", name)
    ]
    return verdict(f"{count(len(found), 'file')} in boot", wrong)


@check("modules-folder", meaning="modprobe looks in lib/modules/V only, where V is what the running kernel says")
def modules_folder(subject: Subject) -> Finding:
    """One folder under lib/modules of the kernel package, none of another name in the extras."""
    v = subject.release.v
    wrong = []
    for kind in MODULE_KINDS:
        if kind in subject.release.packages:
            names = [plain(member.name).split("/") for member in subject.members(kind)]
            found = {parts[2] for parts in names if parts[:2] == ["lib", "modules"] and len(parts) > 2}
            wrong += [f"the {kind} package has lib/modules/{name}" for name in sorted(found - {v})]
            if kind == "kernel" and v not in found:
                wrong.append(f"the kernel package has no lib/modules/{v}")
    return verdict(f"lib/modules/{v}", wrong)


@check("kernel-banner", meaning="the kernel calls itself otherwise (uname -r), and finds no modules")
def kernel_banner(subject: Subject) -> Finding:
    """The release in the image itself."""
    v = subject.release.v
    banner = subject.banner
    if isinstance(banner, str):
        return verdict(f"boot/vmlinuz-{v} says no release", [banner])
    wrong = [f"it is of the release {each}" for each in sorted(banner.releases - {v})]
    if not banner.releases:
        wrong = ["it names no release"]
    return verdict(f"boot/vmlinuz-{v} is of {', '.join(sorted(banner.releases)) or 'no release'}", wrong)


@check("vermagic", meaning='the kernel refuses a module: "Invalid module format"')
def vermagic(subject: Subject) -> Finding:
    """The release that each module is for, and what else the kernel compares (include/linux/vermagic.h)."""
    v = subject.release.v
    wrong, magics = [], {}
    for name, module in subject.module_files.items():
        if isinstance(module, str):
            wrong.append(f"{name}: {module}")
        else:
            values = parse_modinfo(module.sections[".modinfo"]).get("vermagic", [])
            magics[name] = values[0].rstrip() if values else ""
    usual = Counter(magic for magic in magics.values() if magic.split()[:1] == [v]).most_common(1)
    for name, magic in magics.items():
        if not usual or magic != usual[0][0]:
            wrong.append(f"{name} is for {magic or 'no release'}")
    return verdict(f"{count(len(subject.module_files), 'module')} for {usual[0][0] if usual else v}", wrong)


@check(
    "headers-release",
    meaning="external modules are built for another kernel release, and refused by this one",
    of="headers",
)
def headers_release(subject: Subject) -> Finding:
    """What the headers are of: include/config/kernel.release and include/generated/utsrelease.h."""
    v, names = subject.release.v, ("include/config/kernel.release", "include/generated/utsrelease.h")
    texts = {name: (subject.headers.read(name) or b"").decode(errors="replace") for name in names}
    uts = re.search(r'^#define UTS_RELEASE "(.*)"$', texts["include/generated/utsrelease.h"], re.MULTILINE)
    found = zip(texts, (texts["include/config/kernel.release"].strip(), uts[1] if uts else ""), strict=True)
    wrong = [f"{name} is of the release {release or 'that it does not say'}" for name, release in found if release != v]
    return verdict(f"headers of {v}", wrong)


@check("image-tags", meaning="the OS's services pull images by V, and find none, or those of another architecture")
def image_tags(subject: Subject) -> Finding:
    """The file `images`: extras, headers, kernel, each with V and the architecture's suffix."""
    tags, v = subject.release.images, subject.release.v
    if not tags:
        return skipped("there is no file images")
    arch = ARCHES.get(subject.release.a)
    end = f":{v}{arch.tag_suffix if arch else ''}"
    wrong = [f"{tag} does not end in {end}" for tag in tags if not tag.endswith(end)]
    names = [tag.rpartition("/")[2].partition(":")[0] for tag in tags]
    if names != list(IMAGES):
        wrong.append(f"the images are {', '.join(names)}, and should be {', '.join(IMAGES)}")
    orgs = {tag.rpartition("/")[0] for tag in tags}
    if len(orgs) > 1 or "" in orgs:
        wrong.append(f"the images are not all below one name: {', '.join(sorted(orgs))}")
    return verdict(f"{count(len(tags), 'tag')} of {v}", wrong)


@check("architecture", meaning="the kernel does not start on the machine, or loads none of its modules")
def architecture(subject: Subject) -> Finding:
    """The image, the config and each module are of the architecture in the packages' names."""
    a = subject.release.a
    if a not in ARCHES:
        return verdict(f"packages for {a}", [f"{a} is no architecture, but one of {', '.join(ARCHES)} is needed"])
    wrong = []
    # One that cannot be read is for the check of its release to say.
    if isinstance(subject.banner, Banner) and subject.banner.a != a:
        wrong.append(f"boot/vmlinuz-{subject.release.v} is for {subject.banner.a}")
    config = subject.tree("kernel") / f"boot/config-{subject.release.v}"
    if config.is_file() and f"{_CONFIG_OPTIONS[a]}=y" not in _text(config).splitlines():
        wrong.append(f"boot/{config.name} does not have {_CONFIG_OPTIONS[a]}=y")
    modules = [(name, module) for name, module in subject.module_files.items() if isinstance(module, Elf)]
    wrong += [
        f"{name} is for the machine {module.machine} of ELF, not {ELF_MACHINES[a]}"
        for name, module in modules
        if (module.machine, module.wide, module.order) != (ELF_MACHINES[a], True, "<")
    ]
    return verdict(f"image, config and {count(len(modules), 'module')} for {a}", wrong)


@check("config-copies", meaning="what is built or examined by a copy of the config is not about this kernel")
def config_copies(subject: Subject) -> Finding:
    """The config in the kernel package, beside the packages, and in the headers: one content, where they are there."""
    copies = {
        f"boot/config-{subject.release.v}": subject.tree("kernel") / f"boot/config-{subject.release.v}",
        "config": subject.release.file("config"),
    }
    contents = {name: path.read_bytes() for name, path in copies.items() if path.is_file()}
    if "headers" in subject.release.packages and (own := subject.headers_file(".config")) is not None:
        contents["the headers' .config"] = own
    if len(contents) < 2:
        return skipped("there are no two copies")
    first, *others = contents
    wrong = [f"{name} is not {first}" for name in others if contents[name] != contents[first]]
    return verdict(", ".join(contents), wrong)


@check("map-copies", meaning="addresses in the kernel are given the names of what is there in another one")
def map_copies(subject: Subject) -> Finding:
    """The System.map in the kernel package and the one in the headers: one content, where they are there."""
    path = subject.tree("kernel") / f"boot/System.map-{subject.release.v}"
    own = subject.headers_file("System.map") if "headers" in subject.release.packages else None
    if own is None or not path.is_file():
        return skipped("there are no two copies")
    wrong = [] if own == path.read_bytes() else [f"the headers' System.map is not boot/{path.name}"]
    return verdict(f"boot/{path.name}, the headers' System.map", wrong)


def _text(path: Path) -> str:
    """A file's text; empty when there is none."""
    return path.read_text(errors="replace") if path.is_file() else ""
