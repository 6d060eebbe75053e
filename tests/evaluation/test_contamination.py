"""Guards the search of a corpus for test items: what is there is found, and what it cannot find.

pytest tests/evaluation/test_contamination.py
"""

import random
from collections import Counter
from itertools import product

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import assert_refused
from scipy.stats import binomtest

from course_lib.corpora import World
from course_lib.evaluation.contamination import (
    NgramIndex,
    RunIndex,
    longest_runs,
    overlap,
    read_through,
    spans_of,
    words_of,
)

# Few different words, so that runs meet, in many dresses.
WORD = st.sampled_from(["a", "b", "B,", "c", "(C)", "d-e", "de", "—", "É", "é!"])
TEXT = st.lists(WORD, max_size=14).map(" ".join)
TEXTS = st.lists(TEXT, min_size=1, max_size=5)


def grams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def runs_of(a, b, n=1):
    """Where in `a` a run of at least n words begins that `b` shares, and its length, by trying."""
    found = set()
    for i, j in product(range(len(a)), range(len(b))):
        length = 0
        while i + length < len(a) and j + length < len(b) and a[i + length] == b[j + length]:
            length += 1
        if length >= n and not (i and j and a[i - 1] == b[j - 1]):
            found.add((i, length))
    return found


def common_run(a, b):
    """The words of the longest run that two lists of words share."""
    return max((length for _, length in runs_of(a, b)), default=0)


# ------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's state-of-the-art!", ["its", "stateoftheart"]),
        ("  «Où?» — a $5\tbill\n", ["où", "a", "5", "bill"]),
        ("हिन्दी में।", ["हिन्दी", "में"]),  # combining vowels are no punctuation
        ("... — !", []),
        ("", []),
    ],
)
def test_words_are_in_lower_case_and_without_punctuation(text, words):
    assert words_of(text) == words


@given(st.text())
def test_spans_hold_the_words(text):
    spans = spans_of(text)
    assert [words_of(text[start:end]) for start, end in spans] == [[w] for w in words_of(text)]


# ------------------------------------------------------------------ against trying everything


@given(TEXTS, TEXTS, st.integers(1, 5))
def test_overlap_is_what_trying_everything_finds(items, documents, n):
    report = overlap(items, documents, n, keep=50)
    read = [words_of(text) for text in documents]
    held = [set(grams(words, n)) for words in read]
    holding = Counter(gram for each in held for gram in each)
    assert report.documents == len(documents)
    for number, (text, item) in enumerate(zip(items, report.items, strict=True)):
        words = words_of(text)
        sharing = [d for d, each in enumerate(held) if each & set(grams(words, n))]
        counts = [holding[gram] for gram in grams(words, n) if holding[gram]]
        assert (item.number, item.text, item.words) == (number, text, len(words))
        assert item.documents == len(sharing)
        assert item.rarest == min(counts, default=0)
        runs = [(run, d) for d, other in enumerate(read) for run in runs_of(words, other, n)]
        expected = Counter(
            (
                length,
                tuple(words[i : i + length]),
                tuple(d for run, d in runs if run == (i, length)),
            )
            for i, length in {run for run, _ in runs}
        )
        assert expected == Counter(
            (match.words, tuple(words_of(match.item_text)), match.where) for match in item.matches
        )
        for match in item.matches:
            assert match.documents == len(match.where)
            assert match.item_text in text
            assert match.document_text in documents[match.where[0]]
            assert words_of(match.item_text) == words_of(match.document_text)
        lengths = [match.words for match in item.matches]
        assert lengths == sorted(lengths, reverse=True)
        assert report.verdict(item) == (
            "short" if len(words) < n else "flagged" if sharing else "clean"
        )


@given(TEXTS, TEXTS)
@settings(max_examples=200)
def test_longest_runs_are_what_trying_everything_finds(items, documents):
    read = [words_of(text) for text in documents]
    for text, run in zip(items, longest_runs(items, documents), strict=True):
        words = words_of(text)
        assert run.words == max(common_run(words, other) for other in read)
        assert (run.of, run.whole) == (len(words), 0 < run.words == len(words))
        assert run.text in text
        assert len(words_of(run.text)) == run.words
        if run.words:
            assert common_run(words_of(run.text), read[run.document]) == run.words
        else:
            assert run.document is None


@given(TEXTS, TEXTS, st.integers(1, 4))
def test_longest_run_and_overlap_agree(items, documents, n):
    runs = longest_runs(items, documents)
    for run, item in zip(runs, overlap(items, documents, n).items, strict=True):
        assert (item.documents > 0) == (run.words >= n)
        if item.matches:
            assert item.matches[0].words == run.words


def test_a_run_does_not_go_on_into_the_next_item():
    report = overlap(["one two", "three four"], ["one two three four"], n=3)
    assert report.flagged == []
    assert [run.words for run in longest_runs(["one two", "three"], ["one two three"])] == [2, 1]


def test_two_indices_read_one_pass_of_a_stream():
    items, corpus = ["a b c"], iter(["x", "a b", "a b c"])
    ngrams, runs = NgramIndex(items, 2), RunIndex(items)
    assert read_through(corpus, ngrams, runs) == 3
    assert ngrams.report() == overlap(items, ["x", "a b", "a b c"], 2)
    assert runs.runs() == longest_runs(items, ["x", "a b", "a b c"])


def test_a_data_set_is_read_by_its_texts():
    rows = {"text": ["a b", "c"], "title": ["1", "2"]}
    assert overlap(["a b"], Dataset.from_dict(rows), 2).items[0].documents == 1


def test_all_are_counted_and_the_longest_runs_and_first_documents_kept():
    corpus = ["a b", *["a b c x"] * 3, "b c d", "a b c d", "a b"]
    [item] = overlap(["A b, c d!"], corpus, 2, keep=2).items
    assert item.documents == 7
    assert [(match.words, match.documents, match.where) for match in item.matches] == [
        (4, 1, (5,)),
        (3, 3, (1, 2)),
    ]
    assert item.matches[1].item_text == "A b, c"
    assert item.matches[1].document_text == "a b c"


def test_what_everybody_writes_can_be_left_alone():
    """As GPT-3's filter did: an n-gram in more than so many documents does not count."""
    corpus = ["all rights are reserved"] * 4 + ["who wrote it and when"]
    items = ["all rights are reserved", "all rights are reserved who wrote it and when"]
    assert len(overlap(items, corpus, 4).flagged) == 2
    report = overlap(items, corpus, 4, common=3)
    assert [item.rarest for item in report.items] == [4, 1]
    assert [report.verdict(item) for item in report.items] == ["clean", "flagged"]
    assert [len(item.matches) for item in report.items] == [0, 1]
    assert report.items[1].matches[0].item_text == "who wrote it and when"
    assert len(overlap(items, corpus, 4, common=4).flagged) == 2


# ------------------------------------------------------------------ the report


def test_the_share_is_of_the_items_that_can_be_judged_with_the_exact_interval():
    items = ["a b c", *[f"x{i} y{i}" for i in range(6)], "a", "b c"]
    report = overlap(items, ["a b c"], 2)
    exact = binomtest(2, 8).proportion_ci(0.95, "exact")
    share = report.share()
    assert (share.mean, share.n) == (2 / 8, 8)
    assert (share.low, share.high) == pytest.approx(exact)
    assert (len(report.short), len(report.flagged), len(report.clean)) == (1, 2, 6)
    assert overlap(["a b"], ["c"], 2).share().low == 0
    assert overlap(["a b"], ["a b"], 2).share().high == 1
    assert overlap(["a"], ["a"], 2).share() is None


def test_the_frame_has_a_row_for_each_item():
    frame = overlap(["a b c", "x y z", "a"], ["a b", "b c"], 2).frame()
    assert list(frame["verdict"]) == ["flagged", "clean", "short"]
    assert list(frame["documents"]) == [2, 0, 0]
    assert list(frame["longest"]) == [2, 0, 0]


# ------------------------------------------------------------------ planted in the world

N, DOCUMENTS, PLANTED = 13, 20_000, 20  # one item in a thousand documents


@pytest.fixture(scope="module")
def corpus():
    return World().documents(DOCUMENTS, seed=1)


@pytest.fixture(scope="module")
def drafts():
    """Documents of 13 words or more about subjects that no document of the corpus is about."""
    world = World()
    known = {draft.subject.name for draft in world.drafts(DOCUMENTS, seed=1)}
    drawn = world.drafts(60_000, seed=2)
    new = (draft for draft in drawn if draft.subject.name not in known)
    return [draft for draft in new if len(words_of(draft.text())) >= N]


def named(draft):
    """Whether any 13 words name the subject: an item with an entity of its own throughout."""
    name = set(words_of(draft.subject.name))
    return all(name & set(gram) for gram in grams(words_of(draft.text()), N))


@pytest.fixture(scope="module")
def own(drafts):
    """One item with an entity of its own throughout for each subject."""
    return [draft.text() for draft in {d.subject.name: d for d in drafts if named(d)}.values()]


def alone(item, document):
    return item


def inside(item, document):
    half = len(document) // 2
    return f"{document[:half]} {item} {document[half:]}"


def in_other_dress(item, document):
    return f"{document} <<{item.upper().replace('.', ' !')}>>"


@pytest.mark.parametrize("written", [alone, inside, in_other_dress])
def test_planted_copies_are_found_and_clean_items_are_not(written, corpus, own):
    draw = random.Random(written.__name__)
    chosen = draw.sample(range(len(own)), PLANTED)
    planted = dict(zip(chosen, draw.sample(range(DOCUMENTS), PLANTED), strict=True))
    texts = list(corpus)
    for item, place in planted.items():
        texts[place] = written(own[item], texts[place])
    report = overlap(own, texts)
    found = {item.number for item in report.flagged}
    recall = len(found & set(planted)) / PLANTED
    alarms = len(found - set(planted)) / (len(own) - PLANTED)
    assert len(own) > 300
    assert recall >= 0.95, f"{recall:.3f} of the planted items found"
    assert alarms <= 0.01, f"{alarms:.4f} of the clean items flagged"
    for item, place in planted.items():
        match = report.items[item].matches[0]
        assert match.where == (place,)
        assert match.words >= report.items[item].words


def paraphrase(draft, draw):
    """The same facts in the same order, each in another of the world's sentences if it has one."""
    sentences = []
    for aspect, template, values in draft.sentences:
        others = [other for other in aspect.templates.values if other is not template]
        if others:
            template = draw.choice(others)
            values = template.draw(draft.subject.facts, draw)
        sentences.append(template.format % values)
    return " ".join(sentences)


def test_paraphrases_are_not_found(corpus, drafts):
    """The limit of all search by words: what the items ask for is there, and few are flagged."""
    draw = random.Random(0)
    told = list({d.subject.name: d for d in drafts if d.kind.name == "person"}.values())
    before = overlap([draft.text() for draft in told], corpus)
    told = [told[item.number] for item in before.clean]
    texts = [paraphrase(draft, draw) for draft in told]
    report = overlap([draft.text() for draft in told], [*corpus, *texts])
    assert len(told) > 500
    assert report.share().mean < 0.05, f"{report.share()} of the paraphrases found"


def test_template_text_raises_false_alarms(corpus, drafts, own):
    """The other limit: sentences that come from a form meet by chance, though nothing was copied.

    Asked of items with 13 words somewhere that name nobody, and of items with names, by 8 words.
    """
    others = [d.text() for d in {d.subject.name: d for d in drafts if not named(d)}.values()]
    share = overlap(others, corpus).share()
    assert share.low > 0.3
    assert overlap(own, corpus, n=8).share().low > 0.3
    # To leave alone what is common spares some, and far from all.
    assert 0.3 < overlap(others, corpus, common=3).share().mean < share.mean


# ------------------------------------------------------------------ what cannot be used

REFUSED = {
    "one text for items": (lambda: overlap("a b", ["a"]), "list of texts"),
    "no items": (lambda: overlap([], ["a"]), "at least one text"),
    "an item that is none": (lambda: overlap(["a", None], ["a"]), "entry 1", "None"),
    "half a character": (lambda: overlap(["\ud83d"], ["a"]), "lone surrogate"),
    "one text for documents": (lambda: overlap(["a"], "a b"), "documents", "[text]"),
    "no documents": (lambda: overlap(["a"], []), "documents is empty"),
    "an empty stream": (lambda: longest_runs(["a"], iter(())), "documents is empty"),
    "a document that is none": (lambda: overlap(["a"], ["a", 3]), "Document 1", "int"),
    "rows": (lambda: longest_runs(["a"], [{"text": "a"}]), "Document 0", "dict"),
    "documents that are no list": (lambda: overlap(["a"], 3), "documents=3"),
    "another data set": (
        lambda: overlap(["a"], Dataset.from_dict({"prompt": ["a"]})),
        'a column "text"',
        "prompt",
    ),
    "n": (lambda: overlap(["a"], ["a"], n=0), "n=0", "at least 1"),
    "half an n": (lambda: overlap(["a"], ["a"], n=2.5), "n=2.5", "a whole number"),
    "common": (lambda: overlap(["a"], ["a"], common=0), "common=0", "at least 1"),
    "keep": (lambda: overlap(["a"], ["a"], keep=0), "keep=0", "at least 1"),
    "level": (lambda: overlap(["a"], ["a"], 1).share(95), "level=95", "below 1"),
    "words of nothing": (lambda: words_of(None), "give a text"),
}


@pytest.mark.parametrize(("call", "words"), [(c, w) for c, *w in REFUSED.values()], ids=REFUSED)
def test_refused_in_one_line(call, words):
    assert_refused(call, *words)
