"""A project's patches: how they apply, where they come from, and how new ones get among them."""
