"""`rosk firmware`: what modules ask for, what the lists and the source have of it, and what is newer, in seconds."""
