"""Does the T5 of notebook 03 read the passage, or does it know the answer without it?

Written down before any run was made. Every question stands behind a passage of three sentences that
holds its answer, but about half of the questions stand, with their answers, in the text of
pre-training, and a third of them among the pairs of the tuning. So a right answer may be memory.
The model that was tuned on passages answers the same 200 questions four ways:

- `with`: as it was tuned, the passage in front (the score of `spans-world`);
- `without`: the question alone. A form that it never met in tuning, so a low score says little;
- `other`: behind the passage of the next item, which does not hold the answer;
- `changed`: behind its own passage, in which another answer to a question of the same form has been
  put in the place of the right one. Who reads gives the new one, who remembers the `old` one.

`alone` is the laziest opponent that is trained: the same start, tuned on the same pairs with the
passages taken away and asked without them. It knows the form, so it is what memory and a knowledge
of likely answers are worth.

If the model did not read, `with` would be no higher than `alone`, and `changed` near zero. A
perfect reader has 1 on `with` and `changed` and, on `other`, no more than `alone`. Fresh weights,
tuned in the same way, stand beside: if what pre-training adds were memory alone, the gain would be
gone on `changed`. An artefact to mind: a passage may read oddly after the change ("an teacher"),
which can only lower `changed`. Scores are exact match; `new` is `with` on the questions that do not
occur in the tuning.
"""

from collections import defaultdict
from random import Random

from datasets import Dataset
from transformers import PreTrainedModel

from course_lib.evaluation import exact_match
from course_lib.finetuning import fine_tune_seq2seq
from course_lib.generation import generate_targets
from course_lib.studies.design import study
from course_lib.studies.spans import FINE_TUNING, SPAN_WORLD, task_pairs, tune_both
from course_lib.training import Run

MARK = "Question: "


def question_of(source: str) -> str:
    """What is asked, without the passage in front of it."""
    return MARK + source.partition(MARK)[2]


def without_passages(pairs: Dataset) -> Dataset:
    """The same questions and answers, with nothing to read."""
    return pairs.map(lambda row: {"source": question_of(row["source"])})


def with_other_passages(pairs: Dataset) -> Dataset:
    """Each question behind the passage of the next one."""
    passages = [source.partition(MARK)[0] for source in pairs["source"]]
    passages = passages[1:] + passages[:1]
    sources = [p + question_of(s) for p, s in zip(passages, pairs["source"], strict=True)]
    return Dataset.from_dict({"source": sources, "target": list(pairs["target"])})


def with_changed_answers(pairs: Dataset) -> Dataset:
    """Each passage with another answer to a question of the same form in the place of its own.

    Returns:
        Columns `source`, `target` (the new answer) and `old`. Questions whose form occurs once are
        left out.
    """
    answers = defaultdict(set)
    for source, target in zip(pairs["source"], pairs["target"], strict=True):
        answers[_form(source)].add(target)
    random, rows = Random(0), []
    for source, old in zip(pairs["source"], pairs["target"], strict=True):
        others = sorted(answers[_form(source)] - {old})
        if others:
            new = random.choice(others)
            passage, question = source.partition(MARK)[0], question_of(source)
            rows.append({"source": passage.replace(old, new) + question, "target": new, "old": old})
    return Dataset.from_list(rows)


def _form(source: str) -> str:
    """A question without its names: "Where does live?"."""
    first, *rest = source.partition(MARK)[2].split()
    return " ".join([first, *(word for word in rest if word[0].islower())])


def passage_scores(run: Run, model: PreTrainedModel, test: Dataset, tuning: Dataset) -> dict:
    """Exact match of one model by what stands in front of the question."""
    asked = {
        "with": test,
        "without": without_passages(test),
        "other": with_other_passages(test),
        "changed": with_changed_answers(test),
    }
    texts = {k: generate_targets(model, run.tokenizer, list(t["source"])) for k, t in asked.items()}
    scores = {key: exact_match(texts[key], list(t["target"])) for key, t in asked.items()}
    scores["old"] = exact_match(texts["changed"], list(asked["changed"]["old"]))
    known = {question_of(source) for source in tuning["source"]}
    new = [place for place, s in enumerate(test["source"]) if question_of(s) not in known]
    rows = test.select(new)
    scores["new"] = exact_match([texts["with"][place] for place in new], list(rows["target"]))
    return scores


def measure_passages(run: Run) -> dict[str, float]:
    """The scores of both starts, and of the pre-trained one tuned on questions alone."""
    seed = run.recipe.seed
    pairs, test = task_pairs("reading", seed)
    settings = FINE_TUNING.replace(seed=seed)
    bare, asked = without_passages(pairs), without_passages(test)
    alone = fine_tune_seq2seq(run.model, run.tokenizer, bare, settings)
    texts = generate_targets(alone, run.tokenizer, list(asked["source"]))
    scores = {"alone_pretrained": exact_match(texts, list(asked["target"]))}
    for start, model in tune_both(run, pairs, seed).items():
        found = passage_scores(run, model, test, pairs)
        scores |= {f"{key}_{start}": float(value) for key, value in found.items()}
    return scores


STUDIES = (study("spans-passages", [SPAN_WORLD], measure_passages, tolerance=0.15),)
