"""From the upstream form of a benchmark to question files."""
