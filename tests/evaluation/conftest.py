"""Small models and tokenizers that the tests of this room share."""

from byte_level import causal_tokenizer, make, masked_tokenizer, texts

__all__ = ["causal_tokenizer", "make", "masked_tokenizer", "texts"]
