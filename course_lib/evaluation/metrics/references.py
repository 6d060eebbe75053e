"""What every score of written text takes: predictions, and for each prediction its own references.

Libraries disagree here. sacrebleu wants "streams": the first references of all predictions, then
all the second ones. A list for each prediction looks much the same, raises no error there, and
scores 100 for a perfect first prediction whatever the others say. So this course has one layout,
an entry for each prediction, and turns it around where a library wants another.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from course_lib.runtime.checks import BadArgumentError, SomeTexts, Texts, remedy

_TEXTS = TypeAdapter(Texts)


def _reference_lists(value: Any) -> list[list[str]]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError("give a list with an entry for each prediction: a text or a list of texts")
    return [_entry(place, entry) for place, entry in enumerate(value)]


def _entry(place: int, entry: Any) -> list[str]:
    try:
        texts = _TEXTS.validate_python([entry] if isinstance(entry, str) else entry)
    except ValidationError as error:
        raise ValueError(
            f"in entry {place}: {remedy(error.errors(include_url=False)[0])}"
        ) from None
    if not texts:
        raise ValueError(f"entry {place} is empty: give each prediction at least one reference")
    return texts


# For each prediction a text, or a list of texts that are all right; inside, always lists.
References = Annotated[Sequence[str | Sequence[str]], BeforeValidator(_reference_lists)]


def pairs(predictions: SomeTexts, references: References) -> list[tuple[str, list[str]]]:
    """Each prediction with its references.

    Raises:
        BadArgumentError: not as many entries as predictions.
    """
    if len(predictions) != len(references):
        raise BadArgumentError(
            f"references has {len(references)} entries for {len(predictions)} predictions: give "
            "one for each prediction, a text or a list of texts."
        )
    return list(zip(predictions, references, strict=True))
