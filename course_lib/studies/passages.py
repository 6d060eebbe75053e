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

So that the answers can be read, the first ones are kept as they were written, and three summaries
of the same start, tuned on those, beside them (the first seed only: a look, not a measurement).
"""

from collections import defaultdict
from random import Random

from datasets import Dataset
from transformers import PreTrainedModel

from course_lib.evaluation import exact_match
from course_lib.finetuning import fine_tune_seq2seq
from course_lib.generation import generate_targets
from course_lib.studies.design import SEEDS, study
from course_lib.studies.spans import FINE_TUNING, SPAN_WORLD, task_pairs, tune_both
from course_lib.training import Run

MARK = "Question: "
SHOWN = 12  # answers that are kept


def question_of(source: str) -> str:
    """What is asked, without the passage in front of it."""
    return MARK + source.partition(MARK)[2]


def without_passages(pairs: Dataset) -> Dataset:
    """The same questions and answers, with nothing to read."""
    sources = [question_of(source) for source in pairs["source"]]
    return Dataset.from_dict({"source": sources, "target": list(pairs["target"])})


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


def asked_four_ways(test: Dataset) -> dict[str, Dataset]:
    """The questions of a test by what stands in front of them."""
    return {
        "with": test,
        "without": without_passages(test),
        "other": with_other_passages(test),
        "changed": with_changed_answers(test),
    }


def passage_scores(
    texts: dict[str, list[str]], asked: dict[str, Dataset], tuning: Dataset
) -> dict[str, float]:
    """Exact match of one model's answers by what stands in front of the question."""
    scores = {key: exact_match(texts[key], list(t["target"])) for key, t in asked.items()}
    scores["old"] = exact_match(texts["changed"], list(asked["changed"]["old"]))
    known = {question_of(source) for source in tuning["source"]}
    sources, targets = list(asked["with"]["source"]), list(asked["with"]["target"])
    new = [place for place, source in enumerate(sources) if question_of(source) not in known]
    found = [texts["with"][place] for place in new]
    scores["new"] = exact_match(found, [targets[place] for place in new])
    return scores


def measure_passages(run: Run) -> dict:
    """The scores of both starts, and of the pre-trained one tuned on questions alone; and words."""
    seed = run.recipe.seed
    pairs, test = task_pairs("reading", seed)
    bare, asked = without_passages(pairs), asked_four_ways(test)

    def written(model: PreTrainedModel, rows: Dataset) -> list[str]:
        return generate_targets(model, run.tokenizer, list(rows["source"]))

    settings = FINE_TUNING.replace(seed=seed)
    alone = fine_tune_seq2seq(run.model, run.tokenizer, bare, settings)
    guessed = written(alone, asked["without"])
    scores = {"alone_pretrained": exact_match(guessed, list(test["target"]))}
    words = {"alone": guessed[:SHOWN]}
    for start, model in tune_both(run, pairs, seed).items():
        texts = {key: written(model, rows) for key, rows in asked.items()}
        found = passage_scores(texts, asked, pairs)
        scores |= {f"{key}_{start}": float(value) for key, value in found.items()}
        words |= {f"{key}_{start}": texts[key][:SHOWN] for key in ("with", "changed")}
    if seed == SEEDS[0]:
        pairs, test = task_pairs("summaries", seed)
        writer = fine_tune_seq2seq(run.model, run.tokenizer, pairs, settings)
        words["summaries"] = written(writer, test.select(range(SHOWN)))
    return scores | {"words": words}


STUDIES = (study("spans-passages", [SPAN_WORLD], measure_passages, tolerance=0.15),)
