"""Model folders: what is in one, what is wrong with it, and how one form becomes another."""
