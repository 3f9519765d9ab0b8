"""`rosk verify`: looks at a release's bytes, check by check, and believes nothing else."""
