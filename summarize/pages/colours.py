"""One colour a run, on every chart of every page."""

from __future__ import annotations

import colorsys

# Paul Tol's "bright" and "muted" schemes, told apart with colour-blind eyes, each at least 3:1 against white and near-black.
_PALETTE = ("#4477aa", "#cc6677", "#228833", "#aa7a1f", "#8c5fb5", "#1f8fa8", "#c4562f", "#7a7f1e", "#b0509a", "#5f6b7a")


def colours(count: int) -> list[str]:
    """`count` colours; beyond the palette, hues a golden angle apart."""
    return [_PALETTE[at] if at < len(_PALETTE) else _hue(137.508 * at % 360) for at in range(count)]


def _hue(degrees: float) -> str:
    red, green, blue = colorsys.hls_to_rgb(degrees / 360, 0.45, 0.45)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
