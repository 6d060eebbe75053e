"""The tokenizers of the seven families, trained on the text that they will cut.

| family            | kind           | a document becomes  | is lost              |
|-------------------|----------------|---------------------|----------------------|
| bert              | WordPiece      | `[CLS] x [SEP]`     | spacing, rare words  |
| roberta, bart     | byte-level BPE | `<s> x </s>`        | nothing              |
| gpt2, gpt3, bloom | byte-level BPE | `<|endoftext|> x`   | nothing              |
| t5                | Unigram        | `x </s>`            | runs of white space  |
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import tokenizers
from pydantic import BeforeValidator
from tokenizers import AddedToken, Tokenizer, processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from course_lib.corpora.prepared import code_of_texts
from course_lib.corpora.vocabularies import train_byte_bpe, train_unigram, train_wordpiece
from course_lib.runtime import CourseError, cache_path
from course_lib.runtime.checks import Count, Text, Texts, checked

TRAINING_BYTES = 3_000_000  # more text hardly changes so small a vocabulary, and costs seconds
TRAINING_DOCUMENTS = 5_000
SENTINELS = [f"<extra_id_{i}>" for i in range(100)]
MODEL_MAX_LENGTH = 1_000_000  # the model, not the tokenizer, knows how much it can read

ENDOFTEXT = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<pad>"}
SENTENCE = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    # A mask takes the space before it along, so that "on the <mask>" asks for " mat".
    "mask_token": AddedToken("<mask>", lstrip=True, special=True),
    "cls_token": "<s>",
    "sep_token": "</s>",
}
SPECIAL_TOKENS: dict[str, dict] = {
    "bert": {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    "roberta": SENTENCE,
    "gpt2": ENDOFTEXT,
    "gpt3": ENDOFTEXT,
    "bloom": ENDOFTEXT,
    "t5": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    "bart": SENTENCE,
}


def _first_bytes(texts: Any) -> Any:
    """The first texts that hold something, 3 MB of them; what is no list is left to be refused."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        return texts
    kept, size = [], 0
    for text in texts:
        if size >= TRAINING_BYTES:
            break
        if not isinstance(text, str) or text.strip():
            kept.append(text)
            size += len(str(text).encode(errors="surrogatepass"))
    return kept


FirstTexts = Annotated[Texts, BeforeValidator(_first_bytes)]


@checked
def train_tokenizer(family: Text, texts: FirstTexts, vocab_size: Count) -> PreTrainedTokenizerFast:
    """Learn a vocabulary of exactly `vocab_size` entries, special tokens included.

    - bert: WordPiece (Schuster and Nakajima 2012; Devlin et al. 2019), *cased*, because named
      entities are recognised by their capitals. White space is not kept, and a word with a
      letter too rare to have earned a place becomes `[UNK]`.
    - gpt2, gpt3, bloom, roberta, bart: byte-level BPE (Sennrich et al. 2016; Radford et al. 2019,
      section 2.2). `decode(encode(text))` is `text`, whatever the text.
    - t5: Unigram (Kudo 2018) with a byte for each character outside the vocabulary, so that
      nothing is unknown. As in T5, any white space becomes one space; a literal "▁", which is
      how the vocabulary writes a space, comes back as a space.

    Learns from the first 3 MB of the texts. Same texts, same tokenizer.

    Raises:
        BadArgumentError: an argument of another type, a vocabulary below 1.
        CourseError: unknown family, no text, a vocabulary too small for the characters, or
            larger than the text can fill.
    """
    special = _special_tokens(family)
    if not texts:
        raise CourseError("No text to train a tokenizer on: load a corpus with documents.")
    if family == "bert":
        backend = train_wordpiece(texts, vocab_size, special)
    elif family == "t5":
        backend = train_unigram(texts, vocab_size, special)
    else:
        backend = train_byte_bpe(texts, vocab_size, special)
    _check_size(backend.get_vocab_size(), vocab_size)
    backend.post_processor = _post_processor(family, backend)
    return _of_family(family, backend)


@checked
def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """A tokenizer that `save_pretrained` has written; saved again it has the same bytes.

    `AutoTokenizer` would also keep *how* it was read, and write that down when it is saved.

    Raises:
        CourseError: there is no tokenizer that can be read.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of many types, whichever of the files is at fault
        raise CourseError(
            f"No tokenizer can be read from {folder}: give a folder that save_pretrained wrote."
        ) from error
    for name in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(name, None)
    return tokenizer


@checked
def tokenizer_for(family: Text, corpus: Text, vocab_size: Count) -> PreTrainedTokenizerFast:
    """The family's tokenizer for a corpus of `load`, trained once and then read from the cache.

    A cached tokenizer that cannot be read, or is not what was asked for, is trained again. It is
    the same to the byte, read or trained.

    To read and write two languages, train on both: "world-bilingual" has English and Inglosh.

    Raises:
        CourseError: as `train_tokenizer` and `load`.
    """
    from course_lib.corpora.loading import load

    _special_tokens(family)
    file = cache_path("tokenizers", f"{family}-{vocab_size}-{_digest(corpus)}.json")
    backend = _read(file, vocab_size)
    if backend is not None:
        return _of_family(family, backend)
    texts = load(corpus, documents=TRAINING_DOCUMENTS)["text"]
    tokenizer = train_tokenizer(family, texts, vocab_size)
    _write(tokenizer.backend_tokenizer, file)
    return tokenizer


def _of_family(family: str, backend: Tokenizer) -> PreTrainedTokenizerFast:
    """The one way from a vocabulary to a tokenizer, whether trained or read."""
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **SPECIAL_TOKENS[family],
        **({"additional_special_tokens": SENTINELS} if family == "t5" else {}),
        model_max_length=MODEL_MAX_LENGTH,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )


def _special_tokens(family: str) -> list[AddedToken]:
    """The family's special tokens, each once, in the order of their ids."""
    if family not in SPECIAL_TOKENS:
        raise CourseError(f"Unknown family {family!r}: choose one of {', '.join(SPECIAL_TOKENS)}.")
    tokens = {str(token): token for token in SPECIAL_TOKENS[family].values()}
    if family == "t5":
        tokens |= {token: token for token in SENTINELS}
    return [
        token if isinstance(token, AddedToken) else AddedToken(token, special=True)
        for token in tokens.values()
    ]


def _post_processor(family: str, tokenizer: Tokenizer) -> processors.PostProcessor:
    single, pair = {
        "bert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
        "roberta": ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
        "bart": ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
        "t5": ("$A </s>", "$A </s> $B </s>"),
    }.get(family, ("<|endoftext|> $A", "<|endoftext|> $A $B"))
    marks = {mark.split(":")[0] for mark in pair.split() if not mark.startswith("$")}
    template = processors.TemplateProcessing(
        single=single,
        pair=pair,
        special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in sorted(marks)],
    )
    if family in ("bert", "t5"):
        return template
    # Offsets without the leading space: whole-word masking finds words by their gaps.
    return processors.Sequence([processors.ByteLevel(trim_offsets=True), template])


def _check_size(learnt: int, vocab_size: int) -> None:
    if learnt != vocab_size:
        raise CourseError(
            f"This text gives a vocabulary of {learnt}, not {vocab_size}: train on more text or "
            f"ask for {learnt} at most."
        )


def _digest(corpus: str) -> str:
    """Changes with whatever changes the text or how it is cut: code, the world's words, files."""
    what = [corpus, tokenizers.__version__, code_of_texts()]
    if corpus.startswith(("text:", "hub:")):
        from course_lib.corpora.loading import fingerprint, load

        what.append(fingerprint(corpus, lambda: load(corpus)))
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _read(file: Path, vocab_size: int) -> Tokenizer | None:
    if not file.is_file():
        return None
    try:
        backend = Tokenizer.from_file(str(file))
    except Exception:  # whatever is wrong with the file, training again mends it
        return None
    return backend if backend.get_vocab_size() == vocab_size else None


def _write(backend: Tokenizer, file: Path) -> None:
    """Write under a temporary name and rename: nobody reads half of it, and the last one wins.

    Processes that train the same tokenizer at once write the same bytes.
    """
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=".draft-")
    os.close(descriptor)
    backend.save(draft)
    os.replace(draft, file)
