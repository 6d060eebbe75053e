"""Several prompts with their completions in one row, each as if it were alone there.

Padding is computed and taught nothing. Examples that share a row need less of it, but they must not
see each other: an answer must not come to depend on what happened to stand in front of it. So
positions begin again at 0 with each example, and attention ends where they do. `transformers` cuts
it there of its own accord, in every model that makes its causal mask from `position_ids` (GPT-2,
Llama, SmolLM2), where a batch has those and no `attention_mask`, and `use_cache` is off.
"""

from collections import deque
from collections.abc import Sequence

from course_lib.corpora.pairs import NO_TARGET
from course_lib.runtime.checks import Count, checked
from course_lib.runtime.errors import CourseError

Example = dict[str, list[int]]


@checked
def pack_examples(examples: Sequence[Example], length: Count) -> list[Example]:
    """Rows of at most `length` tokens: `input_ids`, `labels` and `position_ids`, of equal length.

    The longest example is placed first, and each into the row that it leaves least room in, or
    into a row of its own: best fit decreasing, as in `trl` and in Ding et al. 2024
    (arXiv:2404.10830). None is cut. The loss of a row, `summed_loss`, is the sum of what its
    examples have apart, and so is the gradient.

    Args:
        examples: `input_ids` and as many `labels` each, -100 where there is no target.
        length: tokens in a row.

    Raises:
        BadArgumentError: an argument of another type.
        CourseError: an example longer than a row, or with labels of another length than its ids.
    """
    for number, example in enumerate(examples):
        size = len(example["input_ids"])
        if size != len(example["labels"]):
            raise CourseError(
                f"Example {number} has {size} tokens and {len(example['labels'])} labels: only "
                "what a causal model reads in one row can share one."
            )
        if not 0 < size <= length:
            raise CourseError(
                f"Example {number} has {size} tokens, and a row {length}: make the rows longer, "
                "or leave it out."
            )
    return [_joined(row) for row in _best_fit(examples, length)]


def _best_fit(examples: Sequence[Example], length: int) -> list[list[Example]]:
    """The examples of each row, longest first."""
    rows: list[list[Example]] = []
    with_room: list[deque[int]] = [deque() for _ in range(length)]  # rows by the room in them
    for example in sorted(examples, key=lambda e: len(e["input_ids"]), reverse=True):
        size = len(example["input_ids"])
        room = next((room for room in range(size, length) if with_room[room]), length)
        if room < length:
            place = with_room[room].popleft()
            rows[place].append(example)
        else:
            place = len(rows)
            rows.append([example])
        if room > size:
            with_room[room - size].append(place)
    return rows


def _joined(row: list[Example]) -> Example:
    """One behind the other. Nothing predicts the first token of an example: it is no target."""
    return {
        "input_ids": [token for e in row for token in e["input_ids"]],
        "labels": [label for e in row for label in (NO_TARGET, *e["labels"][1:])],
        "position_ids": [place for e in row for place in range(len(e["input_ids"]))],
    }
