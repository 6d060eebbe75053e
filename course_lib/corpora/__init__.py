"""Text, tokenizers and packing: from a name to rows of token ids."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Blocks": "blocks",
        "NO_TARGET": "pairs",
        "Permutation": "permutation",
        "SPECIAL_TOKENS": "tokenizers",
        "SPLITS": "splits",
        "World": "world",
        "count_bytes": "packing",
        "encode": "packing",
        "encode_cloze": "packing",
        "encode_pairs": "pairs",
        "encode_sources": "pairs",
        "load": "loading",
        "load_examples": "examples",
        "load_labelled": "examples",
        "load_pairs": "examples",
        "pack": "packing",
        "pad_documents": "packing",
        "published_rows": "pinned",
        "tokenizer_for": "tokenizers",
        "train_tokenizer": "tokenizers",
        "without_padding": "pairs",
        "world_of": "loading",
    },
)
