"""A chart of horizontal bars as SVG, readable on light and dark pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 760
_LEFT: Final = 190
_RIGHT: Final = 80
_BAR: Final = 14
_GAP: Final = 14
_TOP: Final = 74
_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.value { font-size: 11px }
.axis { stroke: #8c959f; stroke-width: 1 }
.s0 { fill: #8c959f } .s1 { fill: #bc6c25 } .s2 { fill: #6ea8dc } .s3 { fill: #0a5fb4 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .s0 { fill: #6e7681 } .s1 { fill: #d68a43 } .s2 { fill: #2f6ea5 } .s3 { fill: #58a6ff }
}
"""


@dataclass(frozen=True)
class Group:
    """A group of bars, by name."""

    title: str
    values: Mapping[str, float]


def svg(title: str, groups: Sequence[Group]) -> str:
    """Draw the chart. A name has the same colour in every group; colours are assigned in order of first appearance."""
    names = list(dict.fromkeys(name for group in groups for name in group.values))
    most = max((value for group in groups for value in group.values.values()), default=1.0)
    parts = [f'<text class="title" x="16" y="26">{escape(title)}</text>', *_legend(names)]
    y = _TOP
    for group in groups:
        middle = y + len(group.values) * _BAR / 2 + 4
        parts.append(f'<text x="{_LEFT - 10}" y="{middle:.0f}" text-anchor="end">{escape(group.title)}</text>')
        for name, value in group.values.items():
            parts += _bar(y, value, value / most * (_WIDTH - _LEFT - _RIGHT), names.index(name))
            y += _BAR
        y += _GAP
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{_TOP - 6}" x2="{_LEFT}" y2="{y - _GAP + 6}"/>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" role="img">'
    body = "\n".join([f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>", *parts])
    return f"{head}\n{body}\n</svg>\n"


def _legend(names: Sequence[str]) -> list[str]:
    parts, x = [], 16
    for number, name in enumerate(names):
        parts.append(f'<rect class="s{number % 4}" x="{x}" y="42" width="11" height="11"/>')
        parts.append(f'<text x="{x + 16}" y="52">{escape(name)}</text>')
        x += 34 + 7 * len(name)
    return parts


def _bar(y: float, value: float, width: float, colour: int) -> list[str]:
    end = _LEFT + max(1.0, width)
    return [
        f'<rect class="s{colour % 4}" x="{_LEFT}" y="{y}" width="{max(1.0, width):.1f}" height="{_BAR - 2}"/>',
        f'<text class="value" x="{end + 6:.1f}" y="{y + _BAR - 4}">{value:,.0f}</text>',
    ]
