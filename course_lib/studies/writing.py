"""Letting a model of each kind write documents, and asking the world whether it could have.

Each kind writes in the way that is natural to it, always drawing from its own distribution
(temperature 1), so that a model which repeats one safe sentence gains nothing by it.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import torch
from torch import LongTensor, Tensor

from course_lib.corpora import World, encode
from course_lib.corpora.padding import pad_rows
from course_lib.corpora.world.grammar import Aspect
from course_lib.corpora.world.kinds import Kind, Subject
from course_lib.models import evaluation_mode
from course_lib.objectives import SpanCorruption
from course_lib.objectives.loss import kind_of
from course_lib.runtime import seed_of
from course_lib.training import Run

SWEEPS = 2  # how often a masked model goes through its finished text again
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?]) (?!Answer:)")  # as the world separates them


def write(run: Run, documents: int, seed: int = 0) -> list[str]:
    """The beginnings of so many documents by the run's model, as long as its rows of training.

    A sentence that the end of the row cuts off is left out, if there is one before it.
    """
    by_kind = {"causal": _token_by_token, "masked": _gap_by_gap, "seq2seq": _span_by_span}
    # `generate` of transformers draws from torch's global state, which is put back afterwards.
    with evaluation_mode(run.model), torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, "write"))
        texts = by_kind[kind_of(run.model)](run, documents)
    return [finished(text) for text in texts]


def finished(text: str) -> str:
    """The text up to its last end of a sentence (all of it if there is none), spaces as usual."""
    text = " ".join(text.split())
    for apart, together in ((r"(\d), (?=\d)", r"\1,"), (r"(\w) - (?=\w)", r"\1-")):
        text = re.sub(apart, together, text)  # WordPiece writes "2, 800" and "hee - haw"
    return re.sub(r"(?<=[.!?])( Question:[^.!?]*[?])?[^.!?]*$", "", text)


def _sample(logits: Tensor) -> LongTensor:
    """One token a row of logits `[rows, vocabulary]`."""
    return torch.multinomial(logits.float().softmax(dim=-1).cpu(), 1).squeeze(1)


# The model's own distribution, and nothing left out of it.
_AS_IT_IS = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}


def _token_by_token(run: Run, documents: int) -> list[str]:
    """A causal model writes from left to right until it writes the end token."""
    end = run.tokenizer.eos_token_id
    start = torch.full((documents, 1), run.tokenizer.bos_token_id, device=run.model.device)
    ids = run.model.generate(
        input_ids=start,
        attention_mask=torch.ones_like(start),
        max_length=run.recipe.data.length,
        eos_token_id=end,
        pad_token_id=end,
        **_AS_IT_IS,
    )
    return run.tokenizer.batch_decode(ids.cpu(), skip_special_tokens=True)


def _gap_by_gap(run: Run, documents: int) -> list[str]:
    """A masked model fills a row of masks in random order, then reconsiders each token in turn.

    Gibbs sampling (Wang and Cho 2019). It cannot decide how long a text is, so it is given the
    lengths of real documents. One position of every document is drawn at a time.
    """
    tokenizer = run.tokenizer
    texts = World().documents(documents, seed=int(torch.randint(2**31, ())))
    real = pad_rows(encode(texts, tokenizer), tokenizer)
    seen, ids = (real[key][:, : run.recipe.data.length] for key in ("attention_mask", "input_ids"))
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    ids = torch.where(special, ids, tokenizer.mask_token_id)
    rows = torch.arange(documents)
    for _ in range(1 + SWEEPS):
        order = torch.rand(ids.shape).masked_fill(special, 2.0).argsort(dim=1)
        for number in range(int((~special).sum(dim=1).max())):
            place = order[:, number]
            asked = ~special[rows, place]
            hidden = ids[rows, place].masked_fill(asked, tokenizer.mask_token_id)
            ids[rows, place] = hidden
            logits = _logits_at(run, ids, seen, place)
            ids[rows, place] = torch.where(asked, _sample(logits), hidden)
    return tokenizer.batch_decode(ids, skip_special_tokens=True)


def _logits_at(run: Run, ids: LongTensor, seen: LongTensor, place: LongTensor) -> Tensor:
    """Logits at one place of each row, special tokens ruled out; the head sees no other place."""
    model = run.model
    states = model.base_model(
        input_ids=ids.to(model.device), attention_mask=seen.to(model.device)
    ).last_hidden_state
    logits = model.cls(states[torch.arange(len(ids)), place])
    logits[:, run.tokenizer.all_special_ids] = -torch.inf
    return logits


def _span_by_span(run: Run, documents: int) -> list[str]:
    """An encoder-decoder reads what it has written, with a sentinel behind it, and writes a span.

    In training the last span of a row is always hidden, so this question is familiar. An empty
    span means that the document is finished, as `</s>` also stands between documents.
    """
    tokenizer, end = run.tokenizer, run.tokenizer.eos_token_id
    sentinel = tokenizer.convert_tokens_to_ids("<extra_id_0>")
    texts: list[list[int]] = [[] for _ in range(documents)]
    unfinished = list(range(documents))
    while unfinished:
        spans = _spans(run, [[end, *texts[i], sentinel, end] for i in unfinished])
        for i, span in zip(unfinished, spans, strict=True):
            texts[i] += span
        unfinished = [
            i
            for i, span in zip(unfinished, spans, strict=True)
            if span and len(texts[i]) < run.recipe.data.length - 1
        ]
    cut = [ids[: run.recipe.data.length - 1] for ids in texts]
    return tokenizer.batch_decode(cut, skip_special_tokens=True)


def _spans(run: Run, questions: list[list[int]]) -> list[list[int]]:
    """What the decoder writes behind the first sentinel, for each row of encoder tokens."""
    model, tokenizer = run.model, run.tokenizer
    asked = pad_rows(questions, tokenizer)
    sentinels = SpanCorruption.from_tokenizer(tokenizer).sentinel_ids.tolist()
    stop = [*sentinels, tokenizer.eos_token_id]
    start = torch.tensor([[model.config.decoder_start_token_id, sentinels[0]]])
    written = model.generate(
        **{name: value.to(model.device) for name, value in asked.items()},
        decoder_input_ids=start.repeat(len(questions), 1).to(model.device),
        max_length=run.recipe.data.length,
        eos_token_id=stop,
        pad_token_id=tokenizer.pad_token_id,
        **_AS_IT_IS,
    )
    marks = {*stop, tokenizer.pad_token_id}
    return [[token for token in row if token not in marks] for row in written[:, 2:].cpu().tolist()]


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
