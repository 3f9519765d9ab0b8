"""`rosk diff`: what two releases, in folders or in images, do not have in common, and what follows for their users."""
