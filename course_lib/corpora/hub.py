"""Data sets of the Hugging Face hub, through an unmodified `datasets.load_dataset`."""

import re

import datasets

from course_lib.corpora.splits import SPLITS, split_of
from course_lib.runtime import CourseError
from course_lib.runtime.hub_errors import hub_errors

NAME = re.compile(r"hub:(?P<id>[^:@]+)(@(?P<revision>[^:@]+))?(:(?P<config>[^:@]+))?")


def load_hub(name: str, split: str) -> datasets.Dataset:
    """A split of "hub:<id>[@<revision>][:<config>]"; code in the data set is never run.

    Where the data set has no validation or test split, a hash of each text holds one out of its
    training split, a twentieth of the texts, and training leaves it out: equal texts stay together.

    Raises:
        CourseError: a name that is not of this form, no such configuration, neither the split nor
            one for training, no column `text`, a row in which it is not a text; as `hub_errors`.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise CourseError(f"Cannot read {name!r}: write hub:<id>, with :<config> or @<revision>.")
    parts = match.groupdict()
    try:
        with hub_errors(parts["id"]):
            found = datasets.load_dataset(parts["id"], parts["config"], revision=parts["revision"])
    except (ValueError, RuntimeError) as error:  # an unknown configuration, or a script
        raise CourseError(f"Cannot load {name}: {_first_line(error)}") from error
    whole = split if split in found else "train"
    if whole not in found:
        raise CourseError(f"{name} has no {split}, only {', '.join(found)}: load it yourself.")
    corpus = found[whole]
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
            f"{name}: {missing} of {len(corpus)} rows of {whole} have no text: load it yourself "
            "and leave them out."
        )
    held_out = [part for part in SPLITS if part not in found and part != "train"]
    if whole != "train" or not held_out:
        return corpus
    kept = [split] if split != "train" else [part for part in SPLITS if part not in held_out]
    return corpus.filter(_falls_into, input_columns="text", fn_kwargs={"parts": kept})


def _falls_into(text: str, parts: list[str]) -> bool:
    return split_of(text) in parts


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
