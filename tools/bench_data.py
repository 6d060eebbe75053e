"""Measure data of any size: `make bench`. Speed of preparing, memory, and the second start.

Speed: tokenizing a text of the world into rows on the disk takes turns with the tokenizer's own
calls, split over two processes. Memory: a process prepares 1 GB of the world, another reads random
batches from it; each reports its own peak above what it had once the library was imported. All of
it happens in a cache of its own, which is removed (some 2 GB of disk).
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from measuring import Measure, report

from course_lib.corpora import Permutation, load, pack, tokenizer_for
from course_lib.corpora.blocks import blocks
from course_lib.runtime import cache_path
from course_lib.runtime.resident import peak_memory

CORES = 2
SPEED_BAR = 0.8  # of the tokenizer's own speed
MEMORY_BAR = 1000.0  # MB above what the imports take
START_BAR = 3.0  # seconds
DOCUMENT = 189.7  # bytes of a document of the world, on average
CORPUS, LENGTH, BATCH = "world", 128, 32
FAMILIES = ("gpt2", "bert", "t5")
VOCABULARY = 1000
SMALL = 120_000  # documents in a turn of the race: 23 MB, enough to lie on the disk

fresh = multiprocessing.get_context("spawn")


def tokenizer(family: str = "gpt2") -> object:
    return tokenizer_for(family, CORPUS, VOCABULARY)


def peak() -> float:
    """The most memory that this process has had, in MB, mapped files included."""
    return peak_memory() / 2**20


@contextmanager
def own_cache() -> Iterator[None]:
    """A cache that is empty at first and gone at the end."""
    before, folder = os.environ.get("COURSE_CACHE"), tempfile.mkdtemp(prefix="bench-data-")
    os.environ["COURSE_CACHE"] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("COURSE_CACHE")
        if before is not None:
            os.environ["COURSE_CACHE"] = before


# Speed.


def call_in_turns(family: str, half: int, barrier: object, answers: object) -> None:
    """One of two processes: the tokenizer's own call on its half of the texts, at each signal."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    texts, ours = list(load(CORPUS, documents=SMALL)["text"][half::CORES]), tokenizer(family)
    while True:
        barrier.wait()
        start = time.perf_counter()
        for first in range(0, len(texts), 1000):
            ours(texts[first : first + 1000])["input_ids"]
        answers.put(time.perf_counter() - start)


def speed(repeats: int) -> Iterator[Measure]:
    """Seconds of the tokenizer's own calls over those of `blocks`, which also writes and checks."""
    size = sum(len(text) for text in load(CORPUS, documents=SMALL)["text"]) / 1e6
    for family in FAMILIES:
        cutter = tokenizer(family)
        signal, answers = fresh.Barrier(CORES + 1), fresh.Queue()
        arguments = [(family, half, signal, answers) for half in range(CORES)]
        workers = [fresh.Process(target=call_in_turns, args=a, daemon=True) for a in arguments]
        for worker in workers:
            worker.start()
        theirs, ours = [], []
        for _ in range(repeats):
            signal.wait()
            theirs.append(max(answers.get() for _ in workers))
            shutil.rmtree(cache_path("blocks", "x").parent, ignore_errors=True)
            start = time.perf_counter()
            blocks(CORPUS, "train", cutter, LENGTH, documents=SMALL)
            ours.append(time.perf_counter() - start)
        for worker in workers:
            worker.terminate()
        ratios = [t / o for t, o in zip(theirs, ours, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        speeds = f"{size / statistics.median(ours):.1f} and {size / statistics.median(theirs):.1f}"
        name = f"{family}: preparing / calls in {CORES} processes"
        note = f"{spread}; {speeds} MB/s"
        yield Measure(name, statistics.median(ratios), SPEED_BAR, form=".2f", note=note)


# Memory and the second start, each in a process of its own.


def in_a_process(work: object, *arguments: object) -> dict[str, float]:
    answers = fresh.Queue()
    process = fresh.Process(target=work, args=(*arguments, answers))
    process.start()
    found = answers.get()
    process.join()
    return found


def prepare_all(documents: int, answers: object) -> None:
    ready, before = tokenizer(), peak()
    start = time.perf_counter()
    load(CORPUS, documents=documents)
    written = time.perf_counter() - start
    rows = blocks(CORPUS, "train", ready, LENGTH, documents=documents)
    took = time.perf_counter() - start
    size = sum(file.stat().st_size for file in rows.folder.iterdir()) / 1e6
    answers.put({"MB": peak() - before, "s": took, "written": written, "disk": size})


def read_all(documents: int, steps: int, answers: object) -> None:
    ready, before = tokenizer(), peak()
    start = time.perf_counter()
    rows = blocks(CORPUS, "train", ready, LENGTH, documents=documents)
    order = Permutation(len(rows), 0, "order", 0)
    first = order_of(order, 0)
    rows[first]
    opened = time.perf_counter() - start
    start = time.perf_counter()
    for step in range(steps):
        rows[order_of(order, step)]
    took = time.perf_counter() - start
    answers.put({"MB": peak() - before, "start": opened, "s": took, "rows": len(rows)})


def order_of(order: Permutation, step: int) -> object:
    import torch

    places = torch.arange(step * BATCH, (step + 1) * BATCH)
    return order[places % len(order)]


def pack_all(documents: int, answers: object) -> None:
    ready, texts = tokenizer(), list(load(CORPUS, documents=documents)["text"])
    pack(texts[:1000], ready, LENGTH)
    before = peak()
    rows = pack(texts, ready, LENGTH)
    answers.put({"MB": peak() - before, "ids": rows.numel() * 8 / 1e6})


def memory(megabytes: int, steps: int) -> Iterator[Measure]:
    """Peaks of preparing, reading and packing, and the seconds until a second start has a batch."""
    documents = round(megabytes * 1e6 / DOCUMENT)
    made = in_a_process(prepare_all, documents)
    note = f"{made['s']:.0f} s, of which writing the text {made['written']:.0f}"
    yield Measure(
        f"preparing {megabytes} MB, MB of memory", made["MB"], MEMORY_BAR, False, ",.0f", note
    )
    read = in_a_process(read_all, documents, steps)
    note = f"{steps:,} batches of {BATCH} of {read['rows']:,.0f} rows, {made['disk']:.0f} MB of ids"
    yield Measure(
        "reading random batches, MB of memory", read["MB"], MEMORY_BAR, False, ",.0f", note
    )
    yield Measure("the second start, s to the first batch", read["start"], START_BAR, False, ".2f")
    yield Measure("a batch, microseconds", read["s"] / steps * 1e6, form=",.0f")
    packed = in_a_process(pack_all, round(15e6 / DOCUMENT))
    name, note = "packing 15 MB, MB of memory", f"the rows are {packed['ids']:.0f} MB"
    yield Measure(name, packed["MB"], 4 * packed["ids"], False, ",.0f", note)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--megabytes", type=int, default=1000, help="of text, for the memory")
    parser.add_argument("--steps", type=int, default=20_000, help="batches that are read")
    options = parser.parse_args(arguments)
    # As many threads as the processes that the library is compared with.
    os.environ["RAYON_NUM_THREADS"] = str(CORES)
    with own_cache():
        sections = {
            "Preparing text": speed(options.repeats),
            "Memory": memory(options.megabytes, options.steps),
        }
        return report(sections)


if __name__ == "__main__":
    sys.exit(main())
