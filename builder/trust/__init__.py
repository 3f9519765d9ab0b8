"""What others can rely on: what is in a release (SBOM), how it was made (provenance), and who vouches for it."""
