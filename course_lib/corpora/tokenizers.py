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
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Tokenizer, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from course_lib.corpora.vocabularies import train_byte_bpe, train_unigram, train_wordpiece
from course_lib.runtime import CourseError, cache_path, data_path

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
FAMILIES: dict[str, dict] = {
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


def train_tokenizer(family: str, texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
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
        CourseError: unknown family, no text, a vocabulary too small for the characters, or
            larger than the text can fill.
    """
    special = _special_tokens(family)
    texts = _first_bytes(texts)
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
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **FAMILIES[family],
        **({"additional_special_tokens": SENTINELS} if family == "t5" else {}),
        model_max_length=MODEL_MAX_LENGTH,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )


def tokenizer_for(family: str, corpus: str, vocab_size: int) -> PreTrainedTokenizerFast:
    """The family's tokenizer for a corpus of `load`, trained once and then read from the cache.

    A cached tokenizer that cannot be read, or is not what was asked for, is trained again.

    Raises:
        CourseError: as `train_tokenizer` and `load`.
    """
    from course_lib.corpora.loading import load

    _special_tokens(family)
    folder = cache_path("tokenizers", f"{family}-{vocab_size}-{_digest(corpus)}")
    tokenizer = _read(folder, vocab_size)
    if tokenizer is None:
        texts = load(corpus, documents=TRAINING_DOCUMENTS)["text"]
        tokenizer = train_tokenizer(family, texts, vocab_size)
        _write(tokenizer, folder)
    return tokenizer


def _special_tokens(family: str) -> list[AddedToken]:
    """The family's special tokens, each once, in the order of their ids."""
    if family not in FAMILIES:
        raise CourseError(f"Unknown family {family!r}: choose one of {', '.join(FAMILIES)}.")
    tokens = {str(token): token for token in FAMILIES[family].values()}
    if family == "t5":
        tokens |= {token: token for token in SENTINELS}
    return [
        token if isinstance(token, AddedToken) else AddedToken(token, special=True)
        for token in tokens.values()
    ]


def _first_bytes(texts: Iterable[str]) -> list[str]:
    kept, size = [], 0
    for text in texts:
        if size >= TRAINING_BYTES:
            break
        if text.strip():
            kept.append(text)
            size += len(text.encode())
    return kept


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
    """Changes with whatever changes the text or how it is cut: our code, the world's words."""
    sources = list(Path(__file__).parent.rglob("*.py"))
    if corpus.startswith("world"):
        sources += data_path("world").iterdir()
    digest = hashlib.sha256(f"{corpus} {tokenizers.__version__}".encode())
    for source in sorted(sources):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _read(folder: Path, vocab_size: int) -> PreTrainedTokenizerFast | None:
    if not folder.is_dir():
        return None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception:  # whatever is wrong with the folder, training again mends it
        return None
    return tokenizer if len(tokenizer) == vocab_size else None


def _write(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write under a temporary name and rename, so that nobody reads half a tokenizer."""
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft-"))
    tokenizer.save_pretrained(draft)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        os.replace(draft, folder)
    except OSError:  # another process was first, with the same tokenizer
        shutil.rmtree(draft, ignore_errors=True)
