"""An OS as a reader of a services repository, after rancher/os: `pkg/util/network/network.go`, `pkg/docker/env.go`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Get = Callable[[str], bytes]
"""The content behind a URL."""


def from_folder(root: Path) -> Get:
    """URLs as paths below a folder."""
    return lambda url: (root / url).read_bytes()


@dataclass(frozen=True)
class Os:
    """A machine that asks one repository.

    Attributes:
        get: Fetches.
        url: `rancher.repositories.core.url`.
        environment: What `${…}` of a service stands for; a name that is not here stands for nothing.
    """

    get: Get
    url: str
    environment: dict[str, str] = field(default_factory=dict)

    def names(self, key: str = "services") -> list[str]:
        """What `ros service list` shows: an index that is no map of lists of names is not read at all."""
        index = yaml.safe_load(self.get(f"{self.url}/index.yml"))
        assert isinstance(index, dict)
        for names in index.values():
            assert names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names))
        return list(index.get(key) or [])

    def service(self, name: str) -> dict[str, Any]:
        """What `ros service enable` takes: a compose file of one service, its variables put in."""
        assert name in self.names(), f"{name} is not a valid service"
        text = self.get(f"{self.url}/{name[0]}/{name}.yml").decode()
        filled = re.sub(r"\$\{(\w+)\}", lambda match: self.environment.get(match[1], ""), text)
        service = yaml.safe_load(filled)[name]
        assert isinstance(service, dict)
        # The labels are a map of texts; `false` as a boolean is what the OS of those days still had to mend.
        assert all(isinstance(value, str) for value in service["labels"].values())
        return service


def modern(get: Get, url: str, v: str, suffix: str = "") -> Os:
    """From v1.3.0 on."""
    return Os(get, url, {"REGISTRY_DOMAIN": "docker.io", "KERNEL_VERSION": v, "SUFFIX": suffix})


def before_registry(get: Get, url: str, v: str) -> Os:
    """v0.8.0 to v1.2.0."""
    return Os(get, url, {"KERNEL_VERSION": v, "SUFFIX": ""})


def before_kernel(get: Get, url: str) -> Os:
    """v0.5.0 to v0.7.1."""
    return Os(get, url, {"SUFFIX": ""})
