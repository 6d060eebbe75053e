"""What the course teaches, as statements that a measurement can decide.

`data/claims.toml` holds the statements, their bounds and the verdict on record. A notebook calls

    claim("right-context-helps", interval, live=my_difference)

and fails if the measurement no longer gives the verdict on record.
"""

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from course_lib.classroom.cards import Card, box, display_output
from course_lib.classroom.session import current_budget
from course_lib.runtime import CourseError, data_path

if TYPE_CHECKING:
    from course_lib.evaluation import Interval

VERDICTS = ("holds", "refined", "refuted", "undecided")
WORDS = {
    "holds": "✓ holds",
    "refined": "✓ holds, refined by a condition",
    "refuted": "✗ refuted",
    "undecided": "? undecided: the interval crosses a bound",
}
# Okabe-Ito colours; the verdict is always in words too.
VERDICT_COLORS = {
    "holds": "#0072B2",
    "refined": "#009E73",
    "refuted": "#D55E00",
    "undecided": "#767676",
}


class ClaimError(AssertionError):
    """A measurement does not give the verdict on record; the message says what differs."""


@dataclass(frozen=True)
class Claim:
    """One statement of the course; the fields are those of `data/claims.toml`.

    The measured quantity must lie above `low` and below `high` (either may be absent). Where both
    are the same number, it must be that number. An interval is over `seeds`, or over what `over`
    names.
    """

    id: str
    notebook: str
    statement: str
    source: str
    measured: str
    status: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    seeds: int = 0
    over: str = "runs"
    verdict: str = ""
    condition: str = ""

    def judge(self, low: float, high: float) -> str:
        """The verdict on a measured interval [low, high]; a single value is low == high."""
        if self.low is not None and self.low == self.high:
            if low == high == self.low:
                return self._inside()
            return "undecided" if low <= self.low <= high and low < high else "refuted"
        above = -math.inf if self.low is None else self.low
        below = math.inf if self.high is None else self.high
        if above < low and high < below:
            return self._inside()
        if high <= above or low >= below:
            return "refuted"
        return "undecided"

    def _inside(self) -> str:
        return "refined" if self.condition else "holds"


@cache
def claims() -> dict[str, Claim]:
    """All statements on record, by id.

    Raises:
        CourseError: two entries with the same id.
    """
    entries = tomllib.loads(data_path("claims.toml").read_text(encoding="utf-8"))["claim"]
    table = {entry["id"]: Claim(**entry) for entry in entries}
    if len(table) < len(entries):
        raise CourseError("data/claims.toml has two claims with the same id: rename one.")
    return table


def claim(
    id: str,
    value: "float | Interval | None" = None,
    interval: "Interval | None" = None,
    live: float | None = None,
) -> None:
    """Hold a measurement against a statement of the course and show the verdict.

    `value` is a number or an interval over seeds (`mean`, `low`, `high`, `n`); `interval` may
    carry the interval beside a separate value. `live` is the same quantity from the reader's own
    run: it is shown against the spread of the recorded runs, and never judged.

    Raises:
        ClaimError: the verdict is not the one on record, too few seeds, or no finite number.
        CourseError: no such claim.
    """
    entry = _lookup(id)
    if interval is None and hasattr(value, "low"):
        interval = value
    if current_budget() == "smoke":
        said = ["not judged at this budget (smoke)"]
        display_output(box(f"Claim: {entry.statement}", said, "#767676"))
        return
    low, high = _range(entry, value, interval)
    verdict = entry.judge(low, high)
    display_output(_card(entry, verdict, value, interval, live))
    if not entry.verdict:
        raise ClaimError(
            f"{id}: measured verdict {verdict!r}, none on record: once you trust the measurement, "
            "write it into data/claims.toml."
        )
    if verdict != entry.verdict:
        raise ClaimError(
            f"{id}: the record says {entry.verdict!r}, this measurement says {verdict!r} "
            f"({_number(low)} to {_number(high)} against {_bounds(entry)})."
        )


def claims_table() -> str:
    """Every statement as a Markdown table, for the book's last page."""
    lines = ["| Statement | Notebook | Verdict | Source |", "| --- | --- | --- | --- |"]
    for entry in sorted(claims().values(), key=lambda entry: entry.notebook):
        verdict = entry.verdict or ("planned" if entry.status == "planned" else "to be measured")
        if entry.condition:
            verdict += f": {entry.condition}"
        cells = [entry.statement, entry.notebook, verdict, entry.source]
        lines.append("| " + " | ".join(_cell(text) for text in cells) + " |")
    return "\n".join(lines)


def prediction_range(interval: "Interval") -> tuple[float, float]:
    """Where one more seed is expected, with the interval's own confidence.

    A t interval for the mean has half-width t s / sqrt(n); one for a new observation has
    t s sqrt(1 + 1/n), which is sqrt(n + 1) times as wide.
    """
    half = (interval.high - interval.low) / 2 * math.sqrt(interval.n + 1)
    return interval.mean - half, interval.mean + half


def _cell(text: str) -> str:
    """Text for a Markdown table: "<x>" is a sentinel here, not an HTML tag."""
    return text.replace("<", "&lt;").replace("|", "\\|")


def _lookup(id: str) -> Claim:
    from difflib import get_close_matches

    if id not in claims():
        near = get_close_matches(id, claims(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see data/claims.toml."
        raise CourseError(f"No claim {id!r}: {hint}")
    return claims()[id]


def _range(entry: Claim, value: Any, interval: Any) -> tuple[float, float]:
    """The measured range, once it is sure that it may be judged."""
    if entry.seeds:
        if interval is None:
            raise ClaimError(
                f"{entry.id} is a training result: give an interval over at least "
                f"{entry.seeds} seeds, not a single value."
            )
        if interval.n < entry.seeds:
            raise ClaimError(
                f"{entry.id} needs {entry.seeds} seeds, this interval has {interval.n}."
            )
    low, high = (interval.low, interval.high) if interval is not None else (value, value)
    if low is None or not (math.isfinite(low) and math.isfinite(high)):
        raise ClaimError(f"{entry.id}: the measurement is not a finite number ({low}, {high}).")
    return float(low), float(high)


def _card(entry: Claim, verdict: str, value: Any, interval: Any, live: float | None) -> Card:
    center = interval.mean if interval is not None else value
    line = f"{entry.measured}: {_number(center)}"
    line += f" {entry.unit}" if entry.unit else ""
    if interval is not None:
        line += (
            f" (95 % interval {_number(interval.low)} to {_number(interval.high)}, "
            f"{interval.n} {'seeds' if entry.seeds else entry.over})"
        )
    lines = [line, f"to hold it must be {_bounds(entry)}"]
    if live is not None:
        lines.append(_live_line(float(live), interval))
    lines.append(f"verdict: {WORDS[verdict]}")
    if entry.condition and verdict == "refined":
        lines.append(f"condition: {entry.condition}")
    return box(f"Claim: {entry.statement}", lines, VERDICT_COLORS[verdict])


def _live_line(live: float, interval: Any) -> str:
    line = f"your run: {_number(live)}"
    if interval is None:
        return line
    low, high = prediction_range(interval)
    where = "within" if low <= live <= high else "outside"
    return f"{line}, {where} the spread of the recorded runs ({_number(low)} to {_number(high)})"


def _bounds(entry: Claim) -> str:
    if entry.low is not None and entry.low == entry.high:
        return f"exactly {_number(entry.low)}"
    parts = []
    if entry.low is not None:
        parts.append(f"above {_number(entry.low)}")
    if entry.high is not None:
        parts.append(f"below {_number(entry.high)}")
    return " and ".join(parts)


def _number(value: float) -> str:
    """Whole numbers in full with separators, others to three significant digits."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
