"""A row of tokens as chips: what a model reads, what it must predict, how sure it is."""

from collections.abc import Collection, Sequence
from html import escape

from course_lib.classroom.cards import Card
from course_lib.classroom.plots import color_of
from course_lib.runtime.checks import BadArgumentError, Texts, checked

NO_TARGET = -100  # the label that torch's cross-entropy skips
WRONG, MARK = "#D55E00", "✗ "


@checked
def token_strip(
    tokens: Texts,
    labels: Sequence[str | int | None] | None = None,
    values: Sequence[float | int | None] | None = None,
    color: str = "masked",
    framed: Collection[str] = (),
    wrong: Collection[int] = (),
) -> Card:
    """Show a token row; below a token its target (`labels`) or a number (`values`).

    Positions without a target (None or -100) stay plain; those with one get a coloured frame and
    the target after an arrow, so that nothing hangs on colour alone. Values shade the chip from
    pale (smallest) to strong (largest) and are written out. `framed` tokens, such as sentinels, get
    the coloured frame wherever they stand. The places in `wrong` are mistakes: a red double frame,
    and a ✗ before the remark that stands below.

    Raises:
        BadArgumentError: tokens in one string, labels or values of another length than the tokens,
            or both at once; or no colour.
    """
    if labels is not None and values is not None:
        raise BadArgumentError("token_strip: give labels or values, not both")
    notes = labels if labels is not None else values if values is not None else [None] * len(tokens)
    if len(notes) != len(tokens):
        raise BadArgumentError(
            f"token_strip: {len(tokens)} tokens but {len(notes)} labels or values: give one for one"
        )
    notes = [None if note is None or note == NO_TARGET else note for note in notes]
    if missing := [place for place in wrong if place >= len(notes) or notes[place] is None]:
        raise BadArgumentError(f"token_strip: wrong={missing}: say in labels what is wrong there")
    notes = [f"{MARK}{note}" if place in wrong else note for place, note in enumerate(notes)]
    numbers = [note for note in notes if note is not None] if values is not None else []
    scale = (min(numbers), max(numbers)) if numbers else None
    chips = [
        _chip(
            token,
            note,
            WRONG if place in wrong else color_of(color),
            scale,
            "3px double" if place in wrong else "2px solid",
            token in framed,
        )
        for place, (token, note) in enumerate(zip(tokens, notes, strict=True))
    ]
    text = " ".join(_plain(t, n, scale) for t, n in zip(tokens, notes, strict=True))
    row = "display:flex;flex-wrap:wrap;gap:4px;margin:0.4em 0;align-items:flex-start"
    return Card(f'<div style="{row}">{"".join(chips)}</div>', text)


def _plain(token: str, note: str | float | None, scale: tuple[float, float] | None) -> str:
    if note is None:
        return visible(token)
    return f"{visible(token)}({note:.2f})" if scale else f"{visible(token)}(->{_below(note)})"


def _below(note: str | int) -> str:
    return note if str(note).startswith(MARK) else visible(note)  # a remark keeps its spaces


def _chip(
    token: str, note: str | float | None, color: str, scale: tuple | None, line: str, framed: bool
) -> str:
    frame = color if framed or note is not None else "#c8cdd2"
    ground = f"{color}{_shade(note, scale)}" if note is not None and scale else "#ffffff"
    below = ""
    if note is not None:
        words = f"{note:.2f}" if scale else f"→ {_below(note)}"
        below = f'<div style="font-size:0.8em;color:#1b1f24">{escape(words)}</div>'
    # A white ground under the shade keeps the dark text readable in a dark theme.
    return (
        f'<div style="border:{line} {frame};border-radius:4px;background:#ffffff;'
        f'text-align:center;font-family:monospace;color:#1b1f24">'
        f'<div style="padding:2px 6px;background:{ground}">{escape(visible(token))}</div>'
        f"{below}</div>"
    )


def _shade(value: float, scale: tuple[float, float]) -> str:
    """Two hexadecimal digits of opacity, at most 60 % so that dark text stays readable."""
    low, high = scale
    share = (value - low) / (high - low) if high > low else 0.5
    return f"{round(10 + share * 143):02x}"


def visible(token: str | int) -> str:
    """A token as a reader should see it: byte-level and sentencepiece blanks become "␣"."""
    return str(token).replace("Ġ", "␣").replace("▁", "␣").replace("Ċ", "⏎").replace(" ", "␣")
