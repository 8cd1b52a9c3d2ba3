"""What decides whether, or how well, an answer holds."""
