"""From samples on disk to numbers, tables and pictures."""
