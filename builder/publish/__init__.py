"""A release where its users get it: images and files in registries, files in folders, on servers and at GitHub.

How data flows: `gate` (does it pass its checks) and `sources` (the images' and the files' content, once for all
targets) → `plan` (which tags, which indexes: pure) → `transfer` (what is missing, in the order that leaves nothing
half-published) over a `Destination`: `registry` or `layout`; for files alone, `targets`. `run` does it all at once.
"""
