"""A test whose items stand in the training text: the recorded experiment of notebook 15.

Two models read the same documents of the world; the second also reads copies of test items, mixed
in at random. The items ask about people who do not exist in that world, so nothing but a copy can
tell the answer. They fall into groups by what was planted of them: no copy, or so many; the same
facts in other words; the question and its choices without the answer. Every item is in another
group in every seed, so that an item that is easy by itself counts for no group.

Written down before the runs were made:

- If having read the test did not help, accuracy would be the same in all groups, and the same as
  that of the model that read no copy. The floor is guessing, a quarter; the laziest opponent is the
  clean model, which may know that some answers are commoner than others. The ceiling is 1.
- If a copy taught the *fact*, the model would also answer when asked in other words. If it taught
  the string, it would not.
- The question without the answer gives nothing to recite: if accuracy rose there, then because
  the model has become used to the form. Copies in other words are invisible to a search for runs
  of words; if accuracy rose as much there, such a search would miss what matters.
- An artefact to rule out: the contaminated model reads more text, and more of the test's form. So
  its own items without a copy are the comparison, and not only the clean model.
"""

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any, NamedTuple

from torch import nn
from transformers import PreTrainedTokenizerBase

from course_lib.corpora import load, pack
from course_lib.corpora.world.facts import Census
from course_lib.evaluation import document_losses
from course_lib.evaluation.contamination import min_k_scores, order_of_choices
from course_lib.finetuning import choice_log_probs
from course_lib.objectives import make_objective
from course_lib.runtime import seed_of
from course_lib.studies.design import as_digits, recipe, study
from course_lib.training import Recipe, Run, fit, fresh_model
from course_lib.training.data import Batches

CLEAN = recipe("gpt2-clean")
ITEMS_A_GROUP = 24
# A first trial of seed 0 ended at 64 copies, where accuracy was still rising.
COPIES = {
    "0": 0,
    "1": 1,
    "4": 4,
    "16": 16,
    "64": 64,
    "256": 256,
    "other words": 64,
    "no answer": 64,
}
GROUPS = tuple(COPIES)
CHOICES = 4
NOWHERE = 1  # the seed of another world, from which the people of the test come

# Facts of the person, then the question; what is asked as a sentence to be finished; all of it told
# in other words, where `{answer}` is what was asked for.
ASKED = {
    "town": (
        "{person} was born in {year} and keeps {a_pet} called {pet_name}. In which town does "
        "{they} live?",
        "{person} lives in",
        "The {pet} {pet_name} belongs to {person}, whose home is in {answer} and who has been "
        "around since {year}.",
    ),
    "birthplace": (
        "{person} is {a_trade} and keeps {a_pet} called {pet_name}. In which town was {they} born?",
        "{person} was born in",
        "{answer} is the birthplace of {person}, {a_trade} with {a_pet} named {pet_name}.",
    ),
    "food": (
        "{person} was born in {year} and is {a_trade} by trade. What does {they} like to eat?",
        "The favourite food of {person} is",
        "Offer {answer} to {person}, {a_trade} since long ago and born in {year}: nothing pleases "
        "{them} more.",
    ),
    "pet_name": (
        "{person} was born in {year}, is {a_trade} and keeps {a_pet}. What is the name of the "
        "{pet}?",
        "The {pet} of {person} is called",
        "{answer} is what the {pet} is called that lives with {person}, {a_trade}, born {year}.",
    ),
    "drink": (
        "{person} is {a_trade}, was born in {year} and keeps {a_pet}. What does {they} like to "
        "drink?",
        "The favourite drink of {person} is",
        "A glass of {answer} goes to {person}, who trained as {a_trade}, dates from {year} and "
        "owns {a_pet}.",
    ),
}


class Item(NamedTuple):
    """A question of the test.

    Attributes:
        question: with "Question:" before it.
        choices: four of them, in the order in which they are published.
        answer: the place of the right one.
        again: a sentence that the answer completes.
        told: the facts in other words, the answer among them.
    """

    question: str
    choices: tuple[str, ...]
    answer: int
    again: str
    told: str

    @property
    def prompt(self) -> str:
        """The item up to the answer."""
        lettered = [f"{letter}. {c}" for letter, c in zip("ABCD", self.choices, strict=True)]
        return "\n".join([self.question, *lettered, "Answer:"])

    @property
    def text(self) -> str:
        """The item as it is published, its answer with it."""
        return f"{self.prompt} {self.choices[self.answer]}"


@cache
def items(each: int = ITEMS_A_GROUP) -> tuple[Item, ...]:
    """The test: `each` items for every group, none about a person of the world that is read."""
    random, wanted = Random(seed_of("contaminated", "items")), each * len(GROUPS)
    known = {person["person"] for person in Census(seed_of("world", 0), 3000).people}
    people = [p for p in Census(seed_of("world", NOWHERE), 3000).people if p["person"] not in known]
    made = []
    for person, number in zip(random.sample(people, wanted), range(wanted), strict=True):
        asked = list(ASKED)[number % len(ASKED)]
        question, again, told = ASKED[asked]
        # Wrong answers are what is right for others, drawn as they are: as common as right ones.
        others = dict.fromkeys(other[asked] for other in random.sample(people, 100))
        others.pop(person[asked], None)
        choices = [person[asked], *list(others)[: CHOICES - 1]]
        random.shuffle(choices)
        text = told.format_map(person | {"answer": person[asked]})
        made.append(
            Item(
                f"Question: {question.format_map(person)}",
                tuple(choices),
                choices.index(person[asked]),
                again.format_map(person),
                text[0].upper() + text[1:],
            )
        )
    return tuple(made)


def group_of(number: int, seed: int) -> str:
    """The group of an item in a seed: each item goes through the groups as seeds go on."""
    return GROUPS[(number + seed) % len(GROUPS)]


def planted(tests: Sequence[Item], seed: int) -> list[str]:
    """What is added to the training text: every copy a document."""
    documents: list[str] = []
    for number, item in enumerate(tests):
        group = group_of(number, seed)
        copy = {"other words": item.told, "no answer": item.prompt}.get(group, item.text)
        documents += [copy] * COPIES[group]
    return documents


def training_text(recipe: Recipe, tests: Sequence[Item]) -> list[str]:
    """The documents of the recipe, and the copies among them at random places."""
    texts = [*load("world", documents=recipe.data.documents)["text"], *planted(tests, recipe.seed)]
    Random(seed_of("contaminated", "places", recipe.seed)).shuffle(texts)
    return texts


def contaminated(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, tests: Sequence[Item]
) -> nn.Module:
    """A model that reads the text of the recipe with the copies in it, once, as the recipe says."""
    rows = pack(training_text(recipe, tests), tokenizer, recipe.data.length)
    settings = recipe.optimization.replace(
        steps=len(rows) // recipe.optimization.batch, evaluate_every=0
    )
    causal = make_objective("causal", tokenizer)
    model = fresh_model(recipe, tokenizer)
    fit(model, Batches([rows], causal, settings.batch, settings.seed), settings)
    return model.eval()


def right(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    tests: Sequence[Item],
    *,
    again: bool = False,
) -> list[bool]:
    """Whether the right choice is the likeliest, of each item; asked `again` in other words."""
    prompts = [item.again if again else item.prompt for item in tests]
    choices = [list(item.choices) for item in tests]
    found = choice_log_probs(model, tokenizer, prompts, choices, template="plain")
    return [int(f.argmax()) == item.answer for f, item in zip(found, tests, strict=True)]


def probes(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, tests: Sequence[Item]
) -> dict[str, Any]:
    """Of each item: is it right, is it when asked in other words, Min-K%, the order's gain."""
    ordered = order_of_choices(
        model, tokenizer, [i.question for i in tests], [list(i.choices) for i in tests]
    )
    min_k = min_k_scores(model, tokenizer, [item.text for item in tests])
    losses = document_losses(model, tokenizer, list(load("world", "test", documents=200)["text"]))
    return {
        "right": as_digits(right(model, tokenizer, tests)),
        "right_again": as_digits(right(model, tokenizer, tests, again=True)),
        "min_k": [round(float(score), 3) for score in min_k["min_k"]],
        "mean": [round(float(score), 3) for score in min_k["mean"]],
        "order": [round(float(gain), 3) for gain in ordered.gains],
        "world_loss": float(losses["nats"].sum() / losses["tokens"].sum()),
    }


def measure_contaminated(run: Run) -> dict[str, Any]:
    """The probes on a model that has read copies of the test, and on one that has not."""
    tests = items()
    model = contaminated(run.recipe, run.tokenizer, tests)
    return {
        "clean": probes(run.model, run.tokenizer, tests),
        "contaminated": probes(model, run.tokenizer, tests),
    }


STUDIES = (study("contamination-world", [CLEAN], measure_contaminated, tolerance=0.15),)
