"""Text, tokenizers and packing: from a name to rows of token ids."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "FAMILIES": "tokenizers",
        "SPLITS": "loading",
        "World": "world",
        "count_bytes": "packing",
        "load": "loading",
        "pack": "packing",
        "pad_documents": "packing",
        "tokenizer_for": "tokenizers",
        "train_tokenizer": "tokenizers",
        "world_of": "loading",
    },
)
