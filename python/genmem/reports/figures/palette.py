"""The colours, for light and for dark: blue against vermilion, told apart by every kind of eye.

Figures are drawn in LIGHT. In the page each colour becomes the style variable of its name, so that
a figure turns dark with the page; a figure saved on its own keeps the light colours on white, which
any viewer and any paper can show.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f5f6f8",
    "ink": "#191d22",
    "muted": "#59636e",
    "rule": "#d6dbe1",
    "grain": "#8a94a0",
    "accent": "#0a66a8",
    "contrast": "#c24a14",
}
DARK = {
    "paper": "#14171b",
    "panel": "#1c2026",
    "ink": "#e8eaed",
    "muted": "#a0a9b4",
    "rule": "#363c44",
    "grain": "#77818d",
    "accent": "#62b2ee",
    "contrast": "#f08c55",
}

PAPER, PANEL, INK, MUTED = LIGHT["paper"], LIGHT["panel"], LIGHT["ink"], LIGHT["muted"]
RULE, GRAIN, ACCENT, CONTRAST = LIGHT["rule"], LIGHT["grain"], LIGHT["accent"], LIGHT["contrast"]


def declarations(colours: dict[str, str]) -> str:
    """The colours as CSS custom properties."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())
