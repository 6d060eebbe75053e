"""Guards the stream: rows are a function of seed and place, nothing of it stays, a resume counts.

Against a hub on loopback, in a process that knows no other.

pytest tests/hub/test_streaming.py
"""

import io

import datasets
import pytest
from loopback import LoopbackHub

from course_lib.corpora import World, load
from course_lib.corpora.splits import split_of
from course_lib.runtime import CourseError
from course_lib.training import Recipe

REVISION, FILES = "a" * 40, 3


@pytest.fixture(scope="module")
def texts(hub: LoopbackHub) -> list[str]:
    """The documents of a data set of several files, which the hub now has, and nothing else."""
    documents = World().documents(120, seed=5)
    files = {}
    for number in range(FILES):
        data = io.BytesIO()
        datasets.Dataset.from_dict({"text": documents[number::FILES]}).to_parquet(data)
        files[f"data/train-{number:05}-of-{FILES:05}.parquet"] = data.getvalue()
    hub.add("datasets", "someone/stories", REVISION, files)
    yield documents
    del hub.repositories["datasets", "someone/stories"]


STREAM = """
    import torch
    from pathlib import Path
    from course_lib.corpora import load
    from course_lib.corpora.pinned import published_tokenizer
    from course_lib.corpora.streaming import StreamedRows, held_out_rows
    from course_lib.runtime import CourseError
    from course_lib.training import Recipe, train

    KEPT = (".parquet", ".arrow")
    name = "stream:someone/stories"
    tokenizer = published_tokenizer("gpt2")
    def rows(places, seed=0, **limits):
        return StreamedRows(name, tokenizer, 16, seed, **limits)[torch.arange(*places)].tolist()
"""


def test_rows_are_a_function_of_seed_and_place_and_nothing_stays(texts, client, tmp_path):
    told = client(
        STREAM
        + """
    stream = StreamedRows(name, tokenizer, 16, 0)
    result = {
        "steps": [stream[torch.arange(n, n + 50)].tolist() for n in (0, 50, 20)],
        "gone on": rows((50, 100)),
        "other": rows((0, 50), 1),
        "many": tokenizer.batch_decode(rows((0, 1600))),
        "few": tokenizer.batch_decode(rows((0, 90), documents=8)),
        "held out": tokenizer.batch_decode(held_out_rows(name, tokenizer, 16, 10_000)),
        "some": list(load(name, "test", documents=3)["text"]),
        "kept": [str(p) for p in Path.home().parent.rglob("*") if p.suffix in KEPT],
    }
    """
    )
    in_order = [text for number in range(FILES) for text in texts[number::FILES]]
    first_held = next(text for text in in_order if split_of(text) == "validation")
    first, second, again = told["steps"]
    assert told["gone on"] == second
    assert again == first[20:] + second[:20]
    assert told["other"] != first
    assert told["kept"] == []
    train = [text for text in texts if split_of(text) == "train"]
    seen = "".join(told["many"]).split("<|endoftext|>")[1:-1]
    count = len(train)
    assert len(seen) > count, "the rows asked for are less than an epoch"
    assert sorted(seen[:count]) == sorted(train), "an epoch has each document once"
    assert seen[count : count + 9] != seen[:9], "the next epoch has the same order"
    assert len(set("".join(told["few"]).split("<|endoftext|>")[1:-1])) == 8
    assert "".join(told["held out"]).startswith(f"<|endoftext|>{first_held}<")
    assert [split_of(text) for text in told["some"]] == ["test"] * 3


def test_a_recipe_streams_and_goes_on_where_it_was_stopped(texts, client, tmp_path):
    told = client(
        STREAM
        + f"""
    import signal
    recipe = Recipe.from_dict({{
        "name": "streamed",
        "data": {{"corpus": name, "tokenizer": "published:gpt2", "length": 16,
            "vocab_size": len(tokenizer)}},
        "model": {{"family": "gpt2", "width": 16, "layers": 1, "heads": 2}},
        "optimization": {{"steps": 8, "batch": 4, "warmup": 2, "log_every": 2, "precision": "no"}},
    }})
    whole = train(recipe, folder="{tmp_path}/whole")
    def stop(entry):
        if entry["step"] == 4:
            signal.raise_signal(signal.SIGINT)
    try:
        train(recipe, folder="{tmp_path}/stopped", callback=stop)
    except KeyboardInterrupt as stopped:
        said = str(stopped)
    after = train(recipe, folder="{tmp_path}/stopped")
    wrong = {{}}
    others = ("stream:someone/none", "stream:someone/stories:french")
    for changes in [*({{"corpus": corpus}} for corpus in others), {{"vocab_size": 7}}]:
        try:
            train(recipe.replace(**changes), folder="{tmp_path}/none")
        except CourseError as error:
            wrong[str(changes)] = str(error)
    result = {{"same": whole.history == after.history, "said": said, "wrong": wrong,
        "vocabulary": whole.model.config.vocab_size - len(tokenizer)}}
    """
    )
    assert told["same"]
    assert "Stopped after step 4 of 8" in told["said"]
    assert told["vocabulary"] == 0
    none, french, size = told["wrong"].values()
    assert size.startswith("published:gpt2 has")
    assert "set data.vocab_size" in size
    assert none.startswith("There is no someone/none on the hub")
    assert french.startswith("Cannot stream stream:someone/stories:french: BuilderConfig 'french'")


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (lambda: load("stream:someone/stories"), "say how many documents to take"),
        (lambda: load("stream:", documents=3), "write stream:<id>"),
        (
            lambda: Recipe.from_dict(
                {
                    "name": "x",
                    "data": {"corpus": "world", "tokenizer": "publisht:gpt2"},
                    "model": {"family": "gpt2"},
                }
            ),
            "data.tokenizer: Unknown corpus 'publisht:gpt2'",
        ),
    ],
)
def test_what_cannot_be_is_one_line(attempt, said):
    with pytest.raises(CourseError, match=said) as caught:
        attempt()
    assert "\n" not in str(caught.value)
