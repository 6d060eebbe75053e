"""Write down what a real model answers to the general questions, before it is tuned.

    python -m course_lib.finetuning.own_answers

makes `data/instructions/smollm2.jsonl`: a line a question, with the likeliest answer of the model
that `python -m course_lib setup` made, up to its last whole sentence; and beside it
`smollm2-brief.jsonl`, the same up to the first sentence of four words or more.
"""

import json
import re
import sys

from course_lib.corpora.instructions import general_questions
from course_lib.finetuning.answering import answers
from course_lib.runtime import data_path

NEW_TOKENS = 64
SENTENCE = 4  # words, at the least
_END = re.compile(r"[.!?][\"')]*(?=\s|$)")
_WHOLE = re.compile(r".*[.!?][\"')]*", re.DOTALL)


def whole_sentences(text: str) -> str:
    """The text up to its last end of a sentence; all of it where there is none."""
    found = _WHOLE.match(text)
    return (found.group() if found else text).strip()


def first_sentence(text: str) -> str:
    """The text up to its first end of a sentence behind four words; all of it where there is none.

    So "1. Carrots" and "A baby horse!" are not taken for whole answers when more comes behind.
    """
    for end in _END.finditer(text):
        begun = text[: end.end()]
        if len(begun.split()) >= SENTENCE:
            return begun
    return text


def write_own_answers(name: str = "smollm2") -> int:
    """Ask the model all the questions and write the file; returns how many it answered."""
    from course_lib.models.real import real

    asked = [prompt for prompts in general_questions().values() for prompt in prompts]
    found = real(name)
    written = answers(found.model, found.tokenizer, asked, new_tokens=NEW_TOKENS)
    rows = [
        {"prompt": prompt, "completion": whole_sentences(answer)}
        for prompt, answer in zip(asked, written, strict=True)
        if answer
    ]
    _write(name, rows)
    _write(f"{name}-brief", [r | {"completion": first_sentence(r["completion"])} for r in rows])
    return len(rows)


def _write(name: str, rows: list[dict[str, str]]) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    data_path("instructions", f"{name}.jsonl").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    print(f"{write_own_answers(*sys.argv[1:])} answers written")
