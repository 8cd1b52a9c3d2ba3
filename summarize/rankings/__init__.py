"""Rankings of many evaluations: score, score per token, groups and tiers (docs/rankings.md)."""
