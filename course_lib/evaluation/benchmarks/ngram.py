"""Counts of neighbouring tokens as a model that the harness can score: no network at all.

The harness asks a model for two things, the log-likelihood of a text behind another and a text to
be written, and does not care what is inside. This is the laziest opponent that has read anything.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from transformers import PreTrainedTokenizerBase

from course_lib.corpora.packing import encode
from course_lib.runtime.checks import SomeTexts, checked

_NEW_TOKENS = 16


class NgramModel(LM):
    """A bigram model of tokens, mixed with a unigram model so that nothing has probability 0.

    The weight of a token's own bigrams is n / (n + t), where n is how often it was seen and t how
    many different tokens came next (Witten and Bell 1991); what is left goes to the unigram model,
    whose counts all have one added.

    Args:
        tokenizer: cuts the texts into tokens.
        texts: what it counts.
    """

    @checked
    def __init__(self, tokenizer: PreTrainedTokenizerBase, texts: SomeTexts) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        rows = encode(list(texts), tokenizer)
        self.single = Counter(token for row in rows for token in row)
        self.pairs: dict[int, Counter] = {}
        for row in rows:
            for first, second in pairwise(row):
                self.pairs.setdefault(first, Counter())[second] += 1
        self._all = self.single.total() + len(tokenizer)

    def log_prob(self, before: int | None, token: int) -> float:
        """log p(token | the token before it) in nats."""
        alone = (self.single[token] + 1) / self._all
        seen = self.pairs.get(before)
        if not seen:
            return math.log(alone)
        total, kinds = seen.total(), len(seen)
        return math.log((seen[token] + kinds * alone) / (total + kinds))

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Summed log-likelihood of each text behind its context; the harness calls this."""
        return [self._behind(*request.args) for request in requests]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Log-likelihood of whole texts."""
        return [self._behind("", text)[0] for (text,) in (r.args for r in requests)]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The likeliest token, again and again, up to the first of the ends."""
        return [self._written(*request.args) for request in requests]

    def _behind(self, context: str, text: str) -> tuple[float, bool]:
        before = self._ids(context)[-1:]
        ids = self._ids(context + text)[len(self._ids(context)) :] or self._ids(text)
        row = [before[0] if before else None, *ids]
        return sum(self.log_prob(a, b) for a, b in pairwise(row)), False

    def _written(self, context: str, options: dict) -> str:
        token, ids = (self._ids(context) or [None])[-1], []
        for _ in range(_NEW_TOKENS):
            seen = self.pairs.get(token) or self.single
            [(token, _)] = seen.most_common(1)
            ids.append(token)
        text = self.tokenizer.decode(ids)
        for end in options.get("until", ()):
            text = text.split(end)[0]
        return text

    def _ids(self, text: str) -> Sequence[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
