"""The small tokenizer that the tests of this room share."""

from hundred_words import tokenizer

__all__ = ["tokenizer"]
