"""Model engines as processes: what starts them, what they take, how they are watched, and the embedded one's own ways."""
