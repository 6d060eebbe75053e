"""Tasks of the generated world put as requests, each in several phrasings.

An instruction-tuned model should do what it is asked however it is asked; so a task comes in some
phrasings to learn from, and in one that is kept for testing (Wei et al. 2022, arXiv:2109.01652,
section 2.1, wrote ten for each task).
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Literal, NamedTuple

from datasets import Dataset

from course_lib.corpora.loading import world_of
from course_lib.runtime import seed_of
from course_lib.runtime.checks import Count, Whole, checked

Task = Literal["sentiment", "earnings", "reading", "summaries", "translation"]
LABELS = ("negative", "positive")
REQUESTS = "requests/"
UNSEEN = ":unseen"


class Phrasings(NamedTuple):
    """Ways to ask: those of training, in turn, and one that training never sees."""

    seen: tuple[str, ...]
    unseen: str


PHRASINGS: MappingProxyType[str, Phrasings] = MappingProxyType(
    {
        "sentiment": Phrasings(
            (
                "Is this review positive or negative? {}",
                "{} Positive or negative?",
                "Tell me the tone of this review: {}",
                "Was the guest happy? Say positive or negative. {}",
            ),
            "Positive or negative: how do you find this review? {}",
        ),
        "earnings": Phrasings(
            (
                "Is this report positive or negative? {}",
                "{} Good news or bad? Say positive or negative.",
                "Tell me the tone of this report: {}",
                "For its owners, is this positive or negative? {}",
            ),
            "Positive or negative: how do you find this report? {}",
        ),
        "reading": Phrasings(
            (
                "Read and answer. {}",
                "{} Answer from the text.",
                "Find the answer in the text. {}",
                "Answer in a few words. {}",
            ),
            "Here is a text with a question for you. {}",
        ),
        "summaries": Phrasings(
            (
                "Sum up in one sentence: {}",
                "{} In short?",
                "What is the most important? {}",
                "Make this text short: {}",
            ),
            "Please say this in one sentence: {}",
        ),
        "translation": Phrasings(
            (
                "Translate into Inglosh: {}",
                "{} In Inglosh, please.",
                "Say this in Inglosh: {}",
                "What is that in Inglosh? {}",
            ),
            "I need this in Inglosh: {}",
        ),
    }
)


@checked
def requests(task: Task, n: Count, seed: Whole = 0, *, unseen: bool = False) -> Dataset:
    """`n` requests of a task and what to answer: columns `prompt` and `completion`.

    The phrasing of a row follows from the seed and its place; with `unseen` it is the one that
    training does not have, on the same texts.

    Raises:
        BadArgumentError: an argument of another type, or another task.
    """
    phrasings = PHRASINGS[task]
    prompts, completions = [], []
    for place, (text, answer) in enumerate(_drawn(task, n, seed)):
        turn = seed_of("phrasing", task, seed, place) % len(phrasings.seen)
        prompts.append((phrasings.unseen if unseen else phrasings.seen[turn]).format(text))
        completions.append(answer)
    return Dataset.from_dict({"prompt": prompts, "completion": completions})


def _drawn(task: str, n: int, seed: int) -> list[tuple[str, str]]:
    """Texts and what is to be answered, as the world draws them."""
    from course_lib.corpora.world import pairs, tasks

    if task in ("sentiment", "earnings"):
        register = "world" if task == "sentiment" else "world-finance"
        rows = tasks.sentiment(world_of(register), n, seed)
        return [(row["text"], LABELS[row["label"]]) for row in rows]
    draw: Callable[..., Dataset] = getattr(pairs, task)
    return [(row["source"], row["target"]) for row in draw(world_of("world"), n, seed)]
