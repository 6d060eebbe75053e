"""Data sets of the Hugging Face hub, through an unmodified `datasets.load_dataset`."""

import re

import datasets

from course_lib.runtime import CourseError
from course_lib.runtime.hub_errors import hub_errors

NAME = re.compile(r"hub:(?P<id>[^:@]+)(@(?P<revision>[^:@]+))?(:(?P<config>[^:@]+))?")


def load_hub(name: str, split: str) -> datasets.Dataset:
    """A split of "hub:<id>[@<revision>][:<config>]"; code in the data set is never run.

    Raises:
        CourseError: a name that is not of this form, no such configuration or split, no column
            `text`, a row in which it is not a text; as `hub_errors`.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise CourseError(f"Cannot read {name!r}: write hub:<id>, with :<config> or @<revision>.")
    parts = match.groupdict()
    try:
        with hub_errors(parts["id"]):
            corpus = datasets.load_dataset(
                parts["id"], parts["config"], split=split, revision=parts["revision"]
            )
    except (ValueError, RuntimeError) as error:  # an unknown split or configuration, or a script
        raise CourseError(f"Cannot load {split} of {name}: {_first_line(error)}") from error
    if "text" not in corpus.column_names:
        raise CourseError(
            f"{name} has no column 'text', only {', '.join(corpus.column_names)}: "
            "load it yourself and rename one."
        )
    kind = getattr(corpus.features["text"], "dtype", "a list")
    if kind not in ("string", "large_string"):
        raise CourseError(f"{name}: its column 'text' holds {kind}, no text: load it yourself.")
    if missing := corpus.data.column("text").null_count:
        raise CourseError(
            f"{name}: {missing} of {len(corpus)} rows of {split} have no text: load it yourself "
            "and leave them out."
        )
    return corpus


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
