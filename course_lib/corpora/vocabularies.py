"""How each kind of vocabulary is learnt: WordPiece, byte-level BPE, Unigram."""

import math
import re
import string
from collections import Counter

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from course_lib.runtime import CourseError

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]  # the names that byte fallback looks for
ASCII = set(string.ascii_letters + string.digits + string.punctuation)


def frequent_characters(texts: list[str], share: float = 0.9995) -> set[str]:
    """The most frequent characters that make up `share` of the text."""
    counts = Counter()
    for text in texts:
        counts.update(text)
    kept: set[str] = set()
    covered = 0
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if covered >= share * counts.total():
            break
        kept.add(character)
        covered += count
    return kept


def train_wordpiece(texts: list[str], vocab_size: int, special: list[AddedToken]) -> Tokenizer:
    """WordPiece over whole words, case kept; any ASCII character has a place."""
    tokenizer = _wordpiece({})
    alphabet = ASCII | frequent_characters(texts) - set(string.whitespace)
    # The trainer would number the "##" characters in the order of a hash table, a new one in each
    # process. Given as special tokens, they have their numbers before it starts.
    inside = [f"##{character}" for character in sorted(alphabet & _inner(texts, tokenizer))]
    _check_room(vocab_size, len(special) + len(alphabet) + len(inside))
    tokenizer.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            special_tokens=[*special, *inside],
            initial_alphabet=sorted(alphabet),
            limit_alphabet=len(alphabet),
            show_progress=False,
        ),
    )
    tokenizer = _wordpiece(tokenizer.get_vocab())
    tokenizer.add_special_tokens(special)
    return tokenizer


def _wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # Decoded text reads better without the space that WordPiece leaves before a full stop.
    closing = [decoders.Replace(f" {mark}", mark) for mark in ".,;:!?)%"]
    tokenizer.decoder = decoders.Sequence([decoders.WordPiece(cleanup=False), *closing])
    return tokenizer


def _inner(texts: list[str], tokenizer: Tokenizer) -> set[str]:
    """The characters that stand inside a word, not only at its start."""
    words = {word for text in texts for word in text.split()}
    parts = (
        part
        for word in words
        for part, _ in tokenizer.pre_tokenizer.pre_tokenize_str(
            tokenizer.normalizer.normalize_str(word)
        )
    )
    return {character for part in parts for character in part[1:]}


def train_byte_bpe(texts: list[str], vocab_size: int, special: list[AddedToken]) -> Tokenizer:
    """BPE that starts from the 256 bytes, spaces belonging to the word behind them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    _check_room(vocab_size, len(special) + len(alphabet))
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=special,
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return tokenizer


def train_unigram(texts: list[str], vocab_size: int, special: list[AddedToken]) -> Tokenizer:
    """Unigram pieces, and 256 bytes for the characters that have none."""
    names = [token.content for token in special] + BYTES
    # No piece is worth less, so a special token or byte whose name is spelled out in a text is
    # read letter by letter; for that, the letters of the names must have a place.
    reserved = [(name, -1e6) for name in names]
    alphabet = frequent_characters(texts) - set(string.whitespace) | set("▁".join(names))
    _check_room(vocab_size, len(names) + len(alphabet))
    pieces = learn_pieces(texts, vocab_size - len(names), alphabet)
    vocabulary = reserved + list(pieces.items())
    unknown = names.index("<unk>")
    tokenizer = _unigram(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=True))
    tokenizer.add_special_tokens(special)
    return tokenizer


def learn_pieces(texts: list[str], size: int, alphabet: set[str]) -> dict[str, float]:
    """The `size` pieces under which the text is likeliest, with their log probabilities.

    Kudo (2018), section 3.2: start from too many pieces, estimate their probabilities by EM (here
    on the best segmentation only), drop those whose loss costs the text least, and repeat. The
    first pieces are those of a BPE of three times the size. The trainer of the `tokenizers`
    library is not used: it finds its first pieces among *different* words without their
    frequency, and cuts into half as many tokens again for a text of few words, such as the world.
    """
    words = Counter(part for text in texts for word in text.split() for part in _parts(f"▁{word}"))
    scores = dict.fromkeys(sorted(_first_pieces(words, 3 * size, alphabet) | alphabet), -1.0)
    while True:
        # The last rounds only estimate; before them, each drops up to a third of the pieces.
        final = len(scores) <= size
        for _ in range(2):
            scores = _estimate(scores, words)
        if final:
            return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))
        scores = _drop(scores, max(size, 2 * len(scores) // 3))


def _parts(word: str) -> list[str]:
    """Letters, digits and marks apart: as in T5, no piece holds both "mat" and its full stop."""
    return re.findall(r"▁?[^\W\d_]+|▁?\d+|[\W_]+", word)


def _first_pieces(words: Counter[str], size: int, alphabet: set[str]) -> set[str]:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=size, limit_alphabet=len(alphabet), max_token_length=16, show_progress=False
    )
    bpe.train_from_iterator((" ".join([word] * count) for word, count in words.items()), trainer)
    return {piece for piece in bpe.get_vocab() if set(piece) <= alphabet}


def _estimate(scores: dict[str, float], words: Counter[str]) -> dict[str, float]:
    """Log probabilities of the pieces from the best segmentation of all words."""
    pieces = list(scores)
    model = models.Unigram([("", 0.0), *scores.items()], unk_id=0)
    counts = [0.5] * (len(pieces) + 1)  # no piece is impossible
    for encoding, count in zip(
        Tokenizer(model).encode_batch_fast(list(words)), words.values(), strict=True
    ):
        for piece in encoding.ids:
            counts[piece] += count
    total = sum(counts[1:])
    return {piece: math.log(count / total) for piece, count in zip(pieces, counts[1:], strict=True)}


def _drop(scores: dict[str, float], size: int) -> dict[str, float]:
    """The `size` pieces that the text would miss most; single characters always stay."""

    def cost(piece: str) -> float:
        if len(piece) == 1:
            return math.inf
        return math.exp(scores[piece]) * (scores[piece] - _without(piece, scores))

    kept = sorted(scores, key=lambda piece: (-cost(piece), piece))[:size]
    return {piece: scores[piece] for piece in kept}


def _without(piece: str, scores: dict[str, float]) -> float:
    """Log probability of the best way to write a piece by means of other pieces."""
    best = [0.0] + [-math.inf] * len(piece)
    for end in range(1, len(piece) + 1):
        for start in range(end):
            part = piece[start:end]
            if part in scores and part != piece:
                best[end] = max(best[end], best[start] + scores[part])
    return best[-1]


def _unigram(model: models.Unigram) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return tokenizer


def _check_room(vocab_size: int, needed: int) -> None:
    if vocab_size <= needed:
        raise CourseError(
            f"A vocabulary of {vocab_size} is too small: special tokens and single characters "
            f"alone take {needed}; ask for more."
        )
