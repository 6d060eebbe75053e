"""Whether a model has seen the test: what the corpus holds of it, and what the model gives away.

With the corpus at hand, look there: `overlap` (runs of n words) and `longest_runs`. With the model
alone, ask it: `min_k_scores` (no word of a text it has read surprises it much) and
`order_of_items` or `order_of_choices` (a list it has read is likelier in the order it was read in).
"""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "ItemOverlap": "ngrams",
        "LongestRun": "longest_run",
        "Match": "ngrams",
        "NgramIndex": "ngrams",
        "OrderTest": "order",
        "OverlapReport": "ngrams",
        "RunIndex": "longest_run",
        "longest_runs": "longest_run",
        "min_k_prob": "min_k",
        "min_k_scores": "min_k",
        "order_of_choices": "order",
        "order_of_items": "order",
        "order_p_value": "order",
        "overlap": "ngrams",
        "read_through": "reading",
        "spans_of": "reading",
        "words_of": "reading",
    },
)
