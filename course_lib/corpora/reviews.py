"""Sentences that people wrote and twenty others each rated: Hutto and Gilbert 2014.

Four sets (film reviews, product reviews, tweets, newspaper editorials), from the source package
vaderSentiment, under the MIT licence: C. J. Hutto and E. Gilbert, "VADER: A Parsimonious
Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014. Set-up fetches them.
"""

import html
from types import MappingProxyType
from typing import Literal

from course_lib.corpora.cleaning import unique
from course_lib.runtime import CourseError
from course_lib.runtime.checks import checked
from course_lib.runtime.packaged import packaged

Kind = Literal["film", "product", "tweet", "editorial"]
# The names of the sets, and what their files are called at the source.
KINDS = MappingProxyType(
    {
        "film": "movieReviewSnippets",
        "product": "amazonReviewSnippets",
        "tweet": "tweets",
        "editorial": "nytEditorialSnippets",
    }
)
DECIDED = 0.8


@checked
def read_reviews(kind: Kind = "film") -> list[dict[str, str | float | int]]:
    """The sentences of a set that people feel the same way about, as rows.

    `rating` is the mean of at least twenty people's, from -4 (extremely negative) to 4. `label`
    is 1 where it is above 0.8 and 0 where it is below -0.8; sentences in between, on which the
    raters are lukewarm or disagree, are left out. No sentence comes twice. `unit` is the document
    a sentence is from, as far as the source says: product reviews and editorials are numbered by
    document and sentence (12_3), film reviews and tweets stand by themselves.

    Raises:
        CourseError: set-up has not fetched them, or their file is not whole.
        BadArgumentError: another kind.
    """
    return [
        {**row, "label": int(row["rating"] > 0)}
        for row in rated_sentences(kind)
        if abs(row["rating"]) > DECIDED
    ]


@checked
def rated_sentences(kind: Kind) -> list[dict[str, str | float]]:
    """All sentences of a set as rows of id, title, unit, text and rating; no labels.

    Raises:
        As `read_reviews`.
    """
    path = packaged("reviews") / f"{kind}.tsv"
    rows = []
    # Split at line ends alone: splitlines would also split at the odd control character.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            name, rating, text = line.split("\t")
            row = {"id": f"{kind}/{name}", "title": kind, "unit": f"{kind}/{name.split('_')[0]}"}
            rows.append({**row, "text": _plain(text), "rating": float(rating)})
        except ValueError as error:
            raise CourseError(f"{path}, line {number}: not an id, a rating and a text.") from error
    return unique(rows)


def _plain(text: str) -> str:
    # Twice: some sentences at the source went through HTML two times (&amp;amp;).
    return " ".join(html.unescape(html.unescape(text)).split())
