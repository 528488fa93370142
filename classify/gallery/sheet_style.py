"""How the contact sheet looks: the report's colours, light and dark, on any width from 400 pixels up."""

from __future__ import annotations

from fc7.classify.report.palette import DARK, LIGHT
from fc7.classify.report.thumbnails import SIDE

_RULES = """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 0 1rem 3rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere; }
h2 { border-top: 1px solid var(--rule); padding-top: 1rem; margin-bottom: 0; }
a { color: var(--link); margin-right: 1rem; }
figure { margin: 0; min-width: 0; }
.pictures { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(var(--side), 1fr)); }
img, .none { display: block; width: 100%; height: var(--side); background: var(--panel); }
img { object-fit: contain; }
.none { border: 1px dashed var(--rule); color: var(--faint); font-size: .75rem; padding: .25rem;
  overflow: hidden; }
figcaption { font-size: .75rem; line-height: 1.3; }
figcaption span { display: block; }
.file { color: var(--faint); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
"""


def style() -> str:
    """The style sheet."""
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {DARK.css()} }} }}"
    return f":root {{ {LIGHT.css()} --side:{SIDE}px }}\n{dark}{_RULES}"
