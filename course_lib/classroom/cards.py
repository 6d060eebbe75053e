"""A piece of output with two faces: HTML where it can be drawn, plain text everywhere else.

The HTML uses inline styles only, no scripts and no ids: JupyterLab removes those from a notebook
it does not trust yet, and a committed notebook must read well before it is run.
"""

import re
from html import escape
from typing import Any

# Dark text on a light ground with its own colours, so that a box reads in dark themes too.
BOX = (
    "border-left:5px solid {color};background:#f6f8fa;color:#1b1f24;"
    "padding:0.6em 0.9em;margin:0.4em 0;border-radius:3px;max-width:52em;line-height:1.45"
)


class Card:
    """Something to display: `html` for a notebook, `text` for every other reader."""

    def __init__(self, html: str, text: str):
        self.html = html
        self.text = text

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


class Words:
    """Text in Markdown, rendered by a notebook and printed as it stands elsewhere."""

    def __init__(self, markdown: str):
        self.markdown = markdown

    def _repr_markdown_(self) -> str:
        return self.markdown

    def __repr__(self) -> str:
        return self.markdown


def box(title: str, lines: list[str], color: str) -> Card:
    """A calm box: a title in bold, then lines, in which `code` and *stress* are understood."""
    body = "".join(f"<div>{_inline(line)}</div>" for line in lines)
    style = BOX.format(color=color)
    html = f'<div style="{style}"><div><strong>{escape(title)}</strong></div>{body}</div>'
    return Card(html, "\n".join([title, *(f"  {line}" for line in lines)]))


def _inline(line: str) -> str:
    code = r'<code style="background:none;color:inherit">\1</code>'
    html = re.sub(r"`([^`]+)`", code, escape(line))
    return re.sub(r"\*(\w[^*<>]*\w)\*", r"<em>\1</em>", html)


def display_output(thing: Any) -> None:
    """Display something now: in a notebook as its richest face, in a terminal as text."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display

    if InteractiveShell.initialized():
        display(thing)
    else:
        print(repr(thing))
