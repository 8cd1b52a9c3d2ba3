"""A real Slurm of four nodes for the tests, and small jobs that do real work through the run folder."""
