"""The exercises of notebook 08 on text: packing, bits per byte, near duplicates."""

import math
from collections.abc import Callable
from typing import Any

import torch

from course_lib.classroom.exercises.base import Exercise, near, require, require_number


class PackDocuments(Exercise):
    """One stream of tokens, cut into rows."""

    name = "pack-documents"
    function = "pack_documents"
    notebook = "08_pretraining"
    prompt = """
    Write `pack_documents(documents, length, mark)`. `documents` is a list of lists of token ids.
    Put `mark` in *front* of each document, lay all of them end to end, and cut the stream into rows
    of `length` ids: a list of lists. A last row that is not full is left out.
    """
    hint = """
    Two lines: `stream = [token for document in documents for token in [mark, *document]]`, and
    slices of it, `stream[at : at + length]`, for `at` in steps of `length` as far as rows are full.
    """
    praise = "Right: every position of every row is a token that is learnt from."

    @staticmethod
    def solution(documents: list[list[int]], length: int, mark: int) -> list[list[int]]:
        """A mark in front of each, one stream, full rows."""
        stream = [token for document in documents for token in [mark, *document]]
        full = len(stream) // length
        return [stream[row * length : (row + 1) * length] for row in range(full)]

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random documents of many lengths, empty ones among them."""
        for _ in range(20):
            count = int(torch.randint(3, 12, (), generator=draw))
            sizes = torch.randint(0, 15, (count,), generator=draw).tolist()
            first = 1
            documents = []
            for size in sizes:
                documents.append(list(range(first, first + size)))
                first += size
            length = int(torch.randint(2, 9, (), generator=draw))
            want = self.solution(documents, length, 0)
            got = answer([list(document) for document in documents], length, 0)
            require(isinstance(got, list), "Return a list of rows, each a list of ids.")
            got = [list(row) for row in got]
            self._explain(got, want, documents, length)

    def _explain(self, got: list, want: list, documents: list, length: int) -> None:
        flat, wanted = ([token for row in rows for token in row] for rows in (got, want))
        require(
            all(len(row) == length for row in got),
            f"Rows should have {length} ids; yours have {sorted({len(row) for row in got})}. A "
            "last row that is not full is left out, not filled up.",
        )
        require(
            0 in flat or 0 not in wanted,
            "There is no mark anywhere: nothing says where one document ends and the next begins.",
        )
        ends = [token for document in documents for token in [*document, 0]]
        require(
            got == want or flat != ends[: len(flat)],
            "Your marks stand behind the documents. Put each in front, as GPT-2's tokenizer does.",
        )
        apart = [row for document in documents for row in self.solution([document], length, 0)]
        require(
            got == want or got != apart,
            "You begin each document on a row of its own and throw its rest away. Join all of them "
            "first, then cut: a row may hold the end of one and the start of the next.",
        )
        require(
            got == want, f"Expected {want[:2]}..., you return {got[:2]}... of {len(want)} rows."
        )


class BitsPerByte(Exercise):
    """The one likelihood that tokenizers cannot change."""

    name = "bits-per-byte"
    function = "bits"
    notebook = "08_pretraining"
    prompt = """
    Write `bits(losses, text)`. `losses` is a list with the loss of each token of `text`, in nats.
    Return the bits per byte of the text, in UTF-8.
    """
    hint = """
    The bits of the whole text are the *sum* of the losses, divided by ln 2. Its bytes are
    `len(text.encode())`: "é" has two.
    """
    praise = "Right. Two models with different tokenizers can be compared by it."

    @staticmethod
    def solution(losses: list[float], text: str) -> float:
        """Nats of the text, in bits, over its bytes."""
        return sum(losses) / math.log(2) / len(text.encode())

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Texts whose characters, words and tokens are all of different number from their bytes."""
        for _ in range(10):
            count = int(torch.randint(3, 30, (), generator=draw))
            losses = (3 * torch.rand(count, generator=draw, dtype=torch.float64)).tolist()
            size = int(torch.randint(40, 90, (), generator=draw))
            letters = torch.randint(6, (size,), generator=draw).tolist()
            text = "".join("aé ü中b"[letter] for letter in letters) + "é"
            got = require_number(answer(list(losses), text), "The result")
            want = self.solution(losses, text)
            total, data = sum(losses), len(text.encode())
            slips = [
                (total / data, "That is nats per byte: a bit is ln 2 nats, so divide by it."),
                (total / math.log(2) / len(text), "You divide by characters. In UTF-8 some have "
                                                  "two or three bytes."),
                (total / math.log(2) / count, "You divide by tokens, which another tokenizer cuts "
                                              "otherwise. Divide by bytes."),
                (total / count / math.log(2) / data, "Take the sum of the losses, not their mean: "
                                                     "the bits of the whole text."),
                (total * math.log(2) / data, "Divide by ln 2: there are more bits than nats."),
            ]  # fmt: skip
            for value, words in slips:
                require(near(got, want) or not near(got, value), words)
            require(
                near(got, want), f"{count} losses, {data} bytes: {want:.4f}, you say {got:.4f}."
            )


class MinHashSignature(Exercise):
    """MinHash by hand, and the similarity that it estimates."""

    name = "minhash"
    function = "similarity"
    notebook = "08_pretraining"
    prompt = """
    Write `similarity(one, other, hashes)`: the MinHash estimate of the Jaccard similarity of two
    sets. `hashes` is a list of functions, each from an element to a number. For each function, the
    *signature* of a set holds the smallest number that it gives to an element of the set. The
    estimate is the share of functions for which the two signatures agree.
    """
    hint = """
    `[min(h(element) for element in one) for h in hashes]` is the signature of `one`. Compare the
    two place by place.
    """
    praise = "Right. `datasketch` does this with 128 hash functions, and very fast."

    @staticmethod
    def solution(one: set, other: set, hashes: list) -> float:
        """Where the smallest hashes agree."""
        signatures = [[min(map(h, elements)) for h in hashes] for elements in (one, other)]
        return sum(a == b for a, b in zip(*signatures, strict=True)) / len(hashes)

    def properties(self, answer: Callable[..., Any], draw: torch.Generator) -> None:
        """Random sets that share some elements, random hash functions."""
        for _ in range(10):
            pool = torch.randperm(500, generator=draw).tolist()
            shared, left, right = torch.randint(5, 40, (3,), generator=draw).tolist()
            one = set(pool[: shared + left])
            other = set(pool[:shared]) | set(pool[shared + left : shared + left + right])
            tables = [torch.rand(500, generator=draw).tolist() for _ in range(64)]
            hashes = [table.__getitem__ for table in tables]
            got = require_number(answer(set(one), set(other), list(hashes)), "The estimate")
            want = self.solution(one, other, hashes)
            self._explain(got, want, one, other, hashes)

    def _explain(self, got: float, want: float, one: set, other: set, hashes: list) -> None:
        first, second = ([min(map(h, s)) for h in hashes] for s in (one, other))
        largest = sum(max(map(h, one)) == max(map(h, other)) for h in hashes) / len(hashes)
        exact = len(one & other) / len(one | other)
        signatures = len(set(first) & set(second)) / len(set(first) | set(second))
        slips = [
            (exact, "That is the Jaccard similarity itself, from the sets. Use the hashes alone: "
                    "in a large corpus the sets are never side by side."),
            (signatures, "You take the two signatures for sets. Compare them place by place: each "
                         "place belongs to one hash function."),
            (want * len(hashes), "That is how many agree; return their share."),
            (largest, "You keep the largest hash. (It would do as well, but the exercise asks for "
                      "the smallest.)"),
        ]  # fmt: skip
        for value, words in slips:
            require(near(got, want) or not near(got, value), words)
        require(
            near(got, want), f"The signatures agree in {want:.3f} of places; you say {got:.3f}."
        )
