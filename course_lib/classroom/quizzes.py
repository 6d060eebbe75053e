"""Quizzes from `data/quizzes/NN.toml`: `quiz("01")`.

The questions are shown by jupyterquiz where scripts run (a live notebook, the book). Underneath
lies the same quiz in plain HTML, each answer unfolding its feedback: that is what a notebook shows
that is opened but not yet trusted, and jupyterquiz takes its place when it starts.
"""

import re
import sys
import tomllib
from dataclasses import dataclass
from html import escape
from typing import Any

from course_lib.classroom.cards import Card
from course_lib.runtime import CourseError, data_path
from course_lib.runtime.checks import Text, checked

# White on dark, and feedback colours that keep 4:1 contrast on both the ground and the buttons.
PALETTE = {
    "--jq-multiple-choice-bg": "#17212b",
    "--jq-mc-button-bg": "#f6f8fa",
    "--jq-text-color": "#ffffff",
    "--jq-correct-color": "#2f86b8",
    "--jq-incorrect-color": "#c8551b",
}


@dataclass(frozen=True)
class Option:
    """One answer to choose, and what to say about it."""

    answer: str
    correct: bool
    feedback: str

    @property
    def comment(self) -> str:
        """The feedback, opened by a word that says whether the answer is right."""
        return f"{'Right.' if self.correct else 'Not quite.'} {self.feedback}"


@dataclass(frozen=True)
class Question:
    """A question with its options, in the order of the file."""

    question: str
    options: tuple[Option, ...]


def load_quiz(notebook: str) -> list[Question]:
    """The questions of a notebook, by its two digits.

    Raises:
        CourseError: no quiz for that notebook.
    """
    path = data_path("quizzes", f"{notebook[:2]}.toml")
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.toml"))
        raise CourseError(f"No quiz for notebook {notebook!r}: there are {', '.join(known)}.")
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["question"]
    return [
        Question(entry["question"], tuple(Option(**option) for option in entry["options"]))
        for entry in entries
    ]


@checked
def quiz(notebook: Text) -> Card:
    """The quiz of a notebook as one output: interactive HTML, and plain text as its other face.

    Raises:
        CourseError: no quiz for that notebook.
    """
    questions = load_quiz(notebook)
    name = f"courseQuiz{notebook[:2]}"
    html = f'<div id="{name}-plain">{_folded_html(questions)}</div>{_interactive(questions, name)}'
    return Card(html, _plain(questions))


def _plain(questions: list[Question]) -> str:
    lines = []
    for number, question in enumerate(questions, 1):
        lines.append(f"{number}. {question.question}")
        lines += [f"   {'abcdef'[i]}) {o.answer}" for i, o in enumerate(question.options)]
    return "\n".join(lines)


def _folded_html(questions: list[Question]) -> str:
    """The quiz without scripts: choosing an answer unfolds what there is to say about it."""
    parts = []
    for number, question in enumerate(questions, 1):
        parts.append(f"<p><strong>{number}. {escape(question.question)}</strong></p>")
        parts += [
            f"<details><summary>{escape(option.answer)}</summary>"
            f"<p>{escape(option.comment)}</p></details>"
            for option in question.options
        ]
    return "".join(parts)


def _interactive(questions: list[Question], name: str) -> str:
    """jupyterquiz's own HTML and script, as one piece and with a fixed id.

    `display_quiz` shows two outputs and draws a random id; both are caught here, so that the
    notebook holds one output whose bytes do not change from run to run.
    """
    displayed = _captured(_as_jupyterquiz(questions))
    html = next(part.data for part in displayed if "<div" in part.data)
    script = next(part.data for part in displayed if "<div" not in part.data)
    random_id = re.search(r'<div id="([A-Za-z]+)"', html).group(1)
    html, script = (part.replace(random_id, name) for part in (html, script))
    html = html.replace("<style>", "</div><style>", 1)  # jupyterquiz leaves its div open
    start = (
        "(function start() {"
        f'const plain = document.getElementById("{name}-plain");'
        f'const box = document.getElementById("{name}");'
        "if (!plain || !box) { setTimeout(start, 200); return; }"
        f'plain.style.display = "none"; box.innerHTML = "";\n{script}\n}})();'
    )
    return f"{html}<script>{start}</script>"


def _as_jupyterquiz(questions: list[Question]) -> list[dict[str, Any]]:
    """The questions in jupyterquiz's format; it inserts texts as HTML, so they are escaped."""
    return [
        {
            "question": escape(question.question),
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": escape(option.answer),
                    "correct": option.correct,
                    "feedback": escape(option.comment),
                }
                for option in question.options
            ],
        }
        for question in questions
    ]


def _captured(questions: list[dict[str, Any]]) -> list[Any]:
    """What `display_quiz` displays, without displaying it; it has no way to return its HTML."""
    from unittest.mock import patch

    import jupyterquiz

    shown: list[Any] = []
    module = sys.modules[jupyterquiz.display_quiz.__module__]
    with patch.object(module, "display", shown.append):
        jupyterquiz.display_quiz(questions, colors=PALETTE)
    return shown
