"""`rosk repro`: proves that the release in `dist` is reproducible, by building it again from nothing and comparing."""
