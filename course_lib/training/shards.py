"""Checkpoints of a sharded run: each process writes its part, while the training goes on.

By `torch.distributed.checkpoint`, into safetensors: a file for each process, which says where in a
weight its part begins. So any number of processes reads what any other number has written, each
only what it needs. The parts are first copied, and then written by a thread; the folder gets its
manifest and its name (`course_lib.runtime.folders`) once all of them are there. All processes must
see the folder.
"""

import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from course_lib.runtime import processes
from course_lib.runtime.errors import CourseError
from course_lib.runtime.folders import whole_folder

SHARDS = "shards"


class Saving:
    """Checkpoints that are written one after another, while the training goes on.

    The processes get a second line between them: what they tell each other of files must not get
    between what they tell of gradients.
    """

    def __init__(self) -> None:
        self.line = torch.distributed.new_group(backend="gloo")
        self.thread = ThreadPoolExecutor(1)
        self.running: Future | None = None

    def begin(self, final: Path, tensors: dict[str, Tensor], state: str) -> None:
        """Copy what is to be saved, and return while it is written. Every process must call it.

        Raises:
            CourseError: the folder cannot be written, or the checkpoint before could not be.
        """
        from torch.distributed.checkpoint import HuggingFaceStorageWriter, async_save

        self.settle()
        stack = ExitStack()
        partial = processes.from_main(lambda: stack.enter_context(whole_folder(final)))
        writer = HuggingFaceStorageWriter(str(partial / SHARDS), save_distributed=True)
        written = async_save(tensors, storage_writer=writer, process_group=self.line)

        def complete() -> None:
            with stack:  # of the main process: it ends with the manifest and the name
                _wait(written)
                if processes.is_main():
                    (partial / "state.json").write_text(state, encoding="utf-8")

        self.running = self.thread.submit(complete)

    def settle(self) -> None:
        """Wait until all is written. Every process must call it.

        Raises:
            CourseError: it could not be, in all processes.
        """
        running, self.running = self.running, None
        if running:
            running.exception()
            processes.from_main(lambda: running.result())

    def close(self) -> None:
        """Wait without a word, at an end that the others may not have reached."""
        self.thread.shutdown()


def read_shards(checkpoint: Path, tensors: dict[str, Tensor]) -> None:
    """Fill tensors, whole or sharded, with what is saved under their names.

    Raises:
        CourseError: this process does not see the folder.
    """
    from torch.distributed.checkpoint import HuggingFaceStorageReader, load
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            reader = HuggingFaceStorageReader(str(checkpoint / SHARDS))
            load(tensors, storage_reader=reader, no_dist=processes.world_size() == 1)
    except CheckpointException as error:
        raise CourseError(
            f"{checkpoint} cannot be read in all processes ({_cause(error)}): parts of a sharded "
            "run must lie in a folder that all of them see."
        ) from error


def saved_shapes(checkpoint: Path) -> dict[str, torch.Size]:
    """The shape of each tensor, by its name."""
    from torch.distributed.checkpoint import HuggingFaceStorageReader

    metadata = HuggingFaceStorageReader(str(checkpoint / SHARDS)).read_metadata()
    return {name: found.size for name, found in metadata.state_dict_metadata.items()}


def _wait(written: Future) -> None:
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        written.result()
    except CheckpointException as error:
        raise OSError(_cause(error)) from error


def _cause(error: BaseException) -> str:
    """What went wrong in the first of the processes in which something did."""
    rank, (first, _) = min(error.failures.items())
    return f"process {rank}: {getattr(first, 'strerror', None) or first}"
