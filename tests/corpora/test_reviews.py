"""Guards the rated sentences: labels that follow the ratings by the rule, and no sentence twice.

Skipped, where the real ones are needed, if `python -m course_lib setup` has not been run.

pytest tests/corpora/test_reviews.py
"""

import re
from pathlib import Path

import pytest
from refusals import assert_refused

from course_lib.corpora.reviews import DECIDED, KINDS, rated_sentences, read_reviews
from course_lib.corpora.splits import SPLITS, split_of
from course_lib.runtime.folders import whole_folder
from course_lib.runtime.packaged import packaged_path

here = pytest.mark.skipif(
    not packaged_path("reviews").is_dir(),
    reason="the rated sentences are not here: run `python -m course_lib setup`",
)
CARD = Path(__file__).resolve().parents[2] / "data" / "README.md"
SAMPLE = (
    "1_1\t-0.9\tno picture, b&amp;amp;w .\r\n"
    "1_2\t0.8\tjust at the line\r\n"
    "2_1\t-0.8\tand at the other\r\n"
    "2_2\t0.81\ta little above\r\n"
    "12_1\t3.2\tI   love it\r\n"
    "12_2\t-3.2\tI love it\r\n"
    "\r\n"
    "12_3\t0\tneither"
)


@pytest.fixture
def sample(monkeypatch, tmp_path):
    """A set of sentences of ours, as set-up would have put it."""

    def put(text: str) -> None:
        monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
        with whole_folder(tmp_path / "reviews") as folder:
            (folder / "product.tsv").write_text(text, encoding="utf-8", newline="")

    return put


def test_the_sign_is_the_label_and_what_is_near_zero_is_left_out(sample):
    sample(SAMPLE)
    rows = {row["id"]: row for row in read_reviews("product")}
    labels = {name: row["label"] for name, row in rows.items()}
    assert labels == {"product/1_1": 0, "product/2_2": 1, "product/12_1": 1}
    assert rows["product/1_1"]["text"] == "no picture, b&w ."
    assert rows["product/12_1"]["text"] == "I love it"  # and not a second time, rated otherwise
    assert [row["unit"] for row in rows.values()] == ["product/1", "product/2", "product/12"]
    assert len(rated_sentences("product")) == 6


@pytest.mark.parametrize("line", ["1_1\tgood", "1_1\tmuch\tgood", "1_1 2.0 good", "1\t2\t3\t4"])
def test_a_line_that_is_no_rated_sentence_is_refused(sample, line):
    sample(f"{SAMPLE}\r\n{line}")
    assert_refused(lambda: read_reviews("product"), "product.tsv, line 9")


def test_another_kind_is_refused():
    assert_refused(lambda: read_reviews("films"), "kind='films'", "'film', 'product'")


def test_without_set_up_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path))
    assert_refused(read_reviews, "reviews is not in", "python -m course_lib setup")


@here
@pytest.mark.parametrize("kind", KINDS)
def test_the_real_sentences_are_text_with_labels_on_both_sides(kind):
    rows = read_reviews(kind)
    assert len({row["id"] for row in rows}) == len({row["text"] for row in rows}) == len(rows)
    for row in rows:
        assert row["label"] == (row["rating"] > 0)
        assert DECIDED < abs(row["rating"]) <= 4
        assert row["text"] == row["text"].strip()
        assert not re.search(r"\t|\n|\ufffd|&amp;|&quot;|&lt;", row["text"]), row["text"]


@here
@pytest.mark.parametrize("kind", KINDS)
def test_every_split_has_both_labels_and_no_document_of_another(kind):
    rows = read_reviews(kind)
    units = {split: {r["unit"] for r in rows if split_of(r["unit"]) == split} for split in SPLITS}
    assert sum(map(len, units.values())) == len({row["unit"] for row in rows})
    for split in SPLITS:
        labels = [row["label"] for row in rows if row["unit"] in units[split]]
        assert 0.2 < sum(labels) / len(labels) < 0.8


@here
@pytest.mark.parametrize("kind", KINDS)
def test_the_card_states_what_is_there(kind):
    """`data/README.md` has a row a set: sentences, labelled, share of positive ones."""
    (row,) = [line for line in CARD.read_text(encoding="utf-8").splitlines() if f"`{kind}`" in line]
    sentences, labelled, positive = re.findall(r"\| ([\d,]+)%? (?=\|)", row)
    rows = read_reviews(kind)
    assert int(sentences.replace(",", "")) == len(rated_sentences(kind))
    assert int(labelled.replace(",", "")) == len(rows)
    assert int(positive) == round(100 * sum(row["label"] for row in rows) / len(rows))
