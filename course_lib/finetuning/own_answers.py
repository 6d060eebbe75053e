"""Write down what a real model answers to the general questions, before it is tuned.

    python -m course_lib.finetuning.own_answers

makes `data/instructions/smollm2.jsonl`: a line a question, with the likeliest answer of the model
that `python -m course_lib setup` made, up to its last whole sentence.
"""

import json
import re
import sys

from course_lib.corpora.instructions import general_questions
from course_lib.finetuning.answering import answers
from course_lib.runtime import data_path

NEW_TOKENS = 64
_WHOLE = re.compile(r".*[.!?][\"')]*", re.DOTALL)


def whole_sentences(text: str) -> str:
    """The text up to its last end of a sentence; all of it where there is none."""
    found = _WHOLE.match(text)
    return (found.group() if found else text).strip()


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
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    data_path("instructions", f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return len(rows)


if __name__ == "__main__":
    print(f"{write_own_answers(*sys.argv[1:])} answers written")
