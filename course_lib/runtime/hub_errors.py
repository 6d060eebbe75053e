"""What goes wrong between here and the Hugging Face hub, each in one sentence with what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from course_lib.runtime.errors import CourseError

FULL = (errno.ENOSPC, errno.EDQUOT)
WITHOUT = "do without it: the offline track and the corpora in the course need no network"
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Within, an error of the hub, the network or the disk becomes a `CourseError` about `name`.

    `transformers` and `datasets` each wrap what happened in errors of their own, so the whole chain
    of causes is searched for the kinds that a reader can mend. Any other error passes.

    Raises:
        CourseError: no such repository or revision, no access to it, too many requests, no
            connection, a full disk, a cache folder that cannot be written.
    """
    try:
        yield
    except CourseError:
        raise
    except Exception as error:
        causes = list(_causes(error))
        for explain in (_disk, _repository, _answer, _connection):
            for cause in causes:
                if sentence := explain(name, cause):
                    # What the libraries print of it fills pages; `__context__` still has it.
                    raise CourseError(sentence) from None
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _disk(name: str, error: BaseException) -> str | None:
    if not isinstance(error, OSError):
        return None
    if error.errno in FULL:
        return (
            f"The disk is full, so {name} could not be stored: free some space, or set HF_HOME to "
            "a folder on a larger disk, restart the kernel and run again."
        )
    if error.errno in FORBIDDEN:
        return (
            f"{name} could not be stored in {_cache()} ({os.strerror(error.errno)}): set HF_HOME "
            "to a folder that you can write, restart the kernel and run again."
        )
    return None


def _repository(name: str, error: BaseException) -> str | None:
    from huggingface_hub import errors

    # datasets keeps its words and loses the cause.
    no_data = type(error).__name__ == "DatasetNotFoundError"
    if isinstance(error, errors.GatedRepoError) or (no_data and "gated" in str(error)):
        return (
            f"{name} is open only to those who accept its terms: do so on its page on the hub, "
            "log in with `hf auth login`, and run again."
        )
    if isinstance(error, errors.RepositoryNotFoundError) or no_data:
        return f"There is no {name} on the hub, or it is private: check the name."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{name} has no such revision any more: choose another, as data/hub.toml says."
    if isinstance(error, OSError) and "safetensors" in str(error):
        return (
            f"{name} has no weights as safetensors at this revision, and others are not read, "
            "since they can hold code: choose another revision, as data/hub.toml says."
        )
    return None


def _answer(name: str, error: BaseException) -> str | None:
    from huggingface_hub import errors

    if not isinstance(error, errors.HfHubHTTPError):
        return None
    status = error.response.status_code
    if status == 429:
        return (
            f"The hub takes no more requests from here for now, so {name} has to wait: try again "
            "in some minutes, or log in with `hf auth login`, which raises the limit."
        )
    if status in (401, 403):
        return (
            f"The hub refuses {name} ({status}): log in again with `hf auth login`, or log out if "
            "you need no account for it."
        )
    if status >= 500:
        return f"The hub has trouble of its own ({status}), so {name} has to wait: try again later."
    return None


def _connection(name: str, error: BaseException) -> str | None:
    from huggingface_hub import constants

    # By name: httpx and its successor have classes of their own, and either may be in use.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if not kinds & {"TransportError", "ConnectionError", "LocalEntryNotFoundError"}:
        return None
    if constants.HF_HUB_OFFLINE:
        return (
            f"{name} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it: unset that "
            f"variable and restart the kernel, or {WITHOUT}."
        )
    return (
        f"Cannot reach the hub for {name}: connect to the internet and run again (what is "
        f"already there is kept), or {WITHOUT}."
    )


def _cache() -> str:
    from huggingface_hub import constants

    return constants.HF_HOME
