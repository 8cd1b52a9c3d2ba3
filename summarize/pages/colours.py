"""One colour a run, on every chart of every page."""

from __future__ import annotations

# Paul Tol's "bright" and "muted" schemes, told apart with colour-blind eyes, each at least 3:1 against white and near-black.
_PALETTE = ("#4477aa", "#cc6677", "#228833", "#aa7a1f", "#8c5fb5", "#1f8fa8", "#c4562f", "#7a7f1e", "#b0509a", "#5f6b7a")


def colours(count: int) -> list[str]:
    """`count` colours; beyond the palette, hues a golden angle apart."""
    return [_PALETTE[at] if at < len(_PALETTE) else f"hsl({137.508 * at % 360:.0f}, 45%, 48%)" for at in range(count)]
