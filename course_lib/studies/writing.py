"""Letting a causal model write documents, and asking the world whether it could have.

It draws from its own distribution (temperature 1), so that a model which repeats one safe sentence
gains nothing by it.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import torch

from course_lib.corpora import World
from course_lib.corpora.world.grammar import Aspect
from course_lib.corpora.world.kinds import Kind, Subject
from course_lib.models import evaluation_mode
from course_lib.runtime import seed_of
from course_lib.training import Run

_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?]) (?!Answer:)")  # as the world separates them


def write(run: Run, documents: int, seed: int = 0) -> list[str]:
    """The beginnings of so many documents by the run's model, as long as its rows of training.

    A sentence that the end of the row cuts off is left out, if there is one before it.
    """
    end, tokenizer = run.tokenizer.eos_token_id, run.tokenizer
    # `generate` of transformers draws from torch's global state, which is put back afterwards.
    with evaluation_mode(run.model) as device, torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, "write"))
        start = torch.full((documents, 1), tokenizer.bos_token_id, device=device)
        ids = run.model.generate(
            input_ids=start,
            attention_mask=torch.ones_like(start),
            max_length=run.recipe.data.length,
            eos_token_id=end,
            pad_token_id=end,
            do_sample=True,  # from the model's own distribution, and nothing left out of it
            temperature=1.0,
            top_k=0,
            top_p=1.0,
        )
    return [finished(text) for text in tokenizer.batch_decode(ids.cpu(), skip_special_tokens=True)]


def finished(text: str) -> str:
    """The text up to its last end of a sentence (all of it if there is none), spaces as usual."""
    text = " ".join(text.split())
    for apart, together in ((r"(\d), (?=\d)", r"\1,"), (r"(\w) - (?=\w)", r"\1-")):
        text = re.sub(apart, together, text)  # WordPiece writes "2, 800" and "hee - haw"
    return re.sub(r"(?<=[.!?])( Question:[^.!?]*[?])?[^.!?]*$", "", text)


class Proofreader:
    """Knows every sentence that the world can write."""

    def __init__(self, world: World) -> None:
        self._subjects = defaultdict(list)
        self._forms = []
        for kind in world.mixture.kinds.values:
            for subject in kind.subjects.values:
                self._subjects[subject.name].append((kind, subject))
            self._forms += _forms(kind)
        self._longest_name = max(len(name.split()) for name in self._subjects)

    def well_formed(self, sentence: str) -> bool:
        """Whether a sentence has the form and the words of one of the world's, true or not."""
        return any(_fits(sentence, literals, slots) for literals, slots in self._forms)

    def true(self, sentences: Sequence[str]) -> list[bool]:
        """For each sentence of a text, whether the world says this of the text's subject.

        The subject is whoever the first sentence names; if that may be several, the one of which
        most is true.
        """
        best = [False] * len(sentences)
        for kind, subject in self._candidates(sentences[0]):
            said = {text for aspect in _aspects(kind) for text in aspect.table(subject.facts)}
            best = max(best, [sentence in said for sentence in sentences], key=sum)
        return best

    def _candidates(self, sentence: str) -> list[tuple[Kind, Subject]]:
        words = re.findall(r"\w+", sentence)
        names = {
            " ".join(words[start : start + length])
            for start in range(len(words))
            for length in range(1, self._longest_name + 1)
        }
        return [pair for name in sorted(names | {""}) for pair in self._subjects.get(name, ())]


def _aspects(kind: Kind) -> list[Aspect]:
    scripts = kind.scripts.values
    return [a for s in scripts for a in (s.opening, *s.body, s.closing) if a is not None]


def _forms(kind: Kind) -> list[tuple[list[str], list[set[str]]]]:
    """Each template of a kind: the text between its slots, and the values of each slot."""
    values = defaultdict(set)
    for subject in kind.subjects.values:
        for name, fact in subject.facts.items():
            values[name].update({fact} if isinstance(fact, str) else fact.values)
    return [
        (
            template.literals,
            [
                values[slot] if isinstance(slot, str) else set(slot.values)
                for slot in template.slots
            ],
        )
        for aspect in _aspects(kind)
        for template in aspect.templates.values
    ]


def _fits(text: str, literals: Sequence[str], slots: Sequence[set[str]]) -> bool:
    if not slots:
        return text == literals[0]
    if not text.startswith(literals[0]):
        return False
    rest = text[len(literals[0]) :]
    ends = (match.start() for match in re.finditer(r"\b", rest))
    return any(rest[:e] in slots[0] and _fits(rest[e:], literals[1:], slots[1:]) for e in ends)


@cache
def _proofreader() -> Proofreader:
    return Proofreader(World())


def measure_writing(run: Run, documents: int = 200, seed: int = 0) -> dict[str, float]:
    """What becomes of the sentences that a model writes: see `judge`."""
    return judge(write(run, documents, seed))


def judge(texts: Sequence[str]) -> dict[str, float]:
    """Shares of the sentences of some texts, in [0, 1].

    `well_formed` are those that the world could have written of somebody, `true` those that it
    could have written of the text's subject; `distinct` is the share of the well-formed ones that
    do not repeat another.
    """
    reader = _proofreader()
    read = [_BETWEEN_SENTENCES.split(text) for text in texts]
    sentences = [sentence for text in read for sentence in text]
    formed = [sentence for sentence in sentences if reader.well_formed(sentence)]
    return {
        "well_formed": len(formed) / len(sentences),
        "true": sum(sum(reader.true(text)) for text in read) / len(sentences),
        "distinct": len(set(formed)) / max(1, len(formed)),
    }
