"""The settings file `config/rosk.yaml` as frozen models: what a project asks for, checked key by key.

The models are the one place that says which keys there are. The JSON schema and the table of the README are made
from them (`builder.schema`).
"""

from builder.settings.caching import Cache
from builder.settings.contents import ListRule
from builder.settings.flavours import Flavour
from builder.settings.load import load_settings
from builder.settings.model import Settings
from builder.settings.publish import GithubTarget, HttpTarget, Publish
from builder.settings.registry import Registry
from builder.settings.trust import Sign, Trust

__all__ = [
    "Cache",
    "Flavour",
    "GithubTarget",
    "HttpTarget",
    "ListRule",
    "Publish",
    "Registry",
    "Settings",
    "Sign",
    "Trust",
    "load_settings",
]
