"""Data sets of the Hugging Face hub, through an unmodified `datasets.load_dataset`."""

import re

import datasets

from course_lib.runtime import CourseError

NAME = re.compile(r"hub:(?P<id>[^:@]+)(@(?P<revision>[^:@]+))?(:(?P<config>[^:@]+))?")


def load_hub(name: str, split: str) -> datasets.Dataset:
    """A split of "hub:<id>[@<revision>][:<config>]"; code in the data set is never run.

    Raises:
        CourseError: a name that is not of this form, no such data set, configuration or split,
            no connection, no column `text`.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise CourseError(f"Cannot read {name!r}: write hub:<id>, with :<config> or @<revision>.")
    parts = match.groupdict()
    try:
        corpus = datasets.load_dataset(
            parts["id"], parts["config"], split=split, revision=parts["revision"]
        )
    except datasets.exceptions.DatasetNotFoundError as error:
        raise CourseError(
            f"No data set {parts['id']!r} on the hub: check the name, or ask for access."
        ) from error
    except (OSError, datasets.exceptions.DatasetsError) as error:
        raise CourseError(
            f"Cannot reach {name} ({_first_line(error)}): connect to the internet, or use a corpus "
            'that needs none ("world", "factbook", "docstrings").'
        ) from error
    except (ValueError, RuntimeError) as error:  # an unknown split or configuration, or a script
        raise CourseError(f"Cannot load {split} of {name}: {_first_line(error)}") from error
    if "text" not in corpus.column_names:
        raise CourseError(
            f"{name} has no column 'text', only {', '.join(corpus.column_names)}: "
            "load it yourself and rename one."
        )
    return corpus


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
