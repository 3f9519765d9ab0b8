"""`rosk lists`: what is wrong with the module lists, mended, and why a module is where it is, before any compile."""
