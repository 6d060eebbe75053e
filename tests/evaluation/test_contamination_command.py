"""Guards `python -m course_lib contamination`: the table, the report, the help, errors in one line.

pytest tests/evaluation/test_contamination_command.py
"""

import json

import pytest

from course_lib.__main__ import main
from course_lib.evaluation.contamination.command import read_items

COPIED = "The old clock in Harrow strikes thirteen times at noon, and nobody in town knows why."
CLEAN = "No one has ever counted the gulls that sleep upon the long stone pier of Merrow Bay."
SHORT = "Who built the clock?"
UNKNOWN = "Who tamed the griffin?"


@pytest.fixture
def place(tmp_path):
    """A corpus of two files, and a test of five items of which one is copied."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    told = f'He wrote: "{COPIED.upper()}"\n'
    (corpus / "a.txt").write_text(f"{told}\n" + "Nothing to see here. " * 40, encoding="utf-8")
    lines = [{"text": "Rain fell."}, {"text": f"{SHORT} A smith did."}]
    (corpus / "b.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    tasks = [{"text": text, "id": 3} for text in (COPIED, CLEAN, SHORT, UNKNOWN)]
    (tmp_path / "tasks.jsonl").write_text("\n\n".join(map(json.dumps, tasks)), encoding="utf-8")
    return tmp_path


def command(place, *options, corpus="corpus", tasks="tasks.jsonl"):
    named = f"text:{place / corpus}"
    return main(["contamination", named, str(place / tasks), *map(str, options)])


def test_the_table(place, capsys):
    assert command(place) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0].endswith("(all of it): 3 documents")
    assert lines[1:] == [
        "items 4",
        "shorter than 13 words 2 1 whole in a document",
        "flagged 1 of the 2 others",
        "share flagged 0.5000 95% interval 0.0126 to 0.9874",
        "longest run, not flagged 1 words",
    ]


def test_show_prints_both_texts(place, capsys):
    assert command(place, "--show", 3) == 0
    out = capsys.readouterr().out
    assert "item 0 (16 words), in 1 document(s)" in out
    assert "16 words in document 0" in out
    assert repr(COPIED) in out
    assert COPIED.upper() in out
    assert CLEAN not in out


def test_the_report_holds_all_of_it(place, capsys):
    out = place / "report.json"
    assert command(place, "--n", 4, "--out", out) == 0
    assert f"report in {out}" in capsys.readouterr().out
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["tasks"] == str(place / "tasks.jsonl")
    assert (report["n"], report["documents"]) == (4, 3)
    assert report["counts"] == {"items": 4, "short": 0, "flagged": 2, "clean": 2}
    assert report["share"]["mean"] == 0.5
    first, _, third, _ = report["items"]
    assert [item["verdict"] for item in report["items"]] == ["flagged", "clean", "flagged", "clean"]
    assert first["matches"][0]["item_text"] == COPIED
    assert first["matches"][0]["document_text"] == f'"{COPIED.upper()}"'
    assert third["longest_run"] == {"words": 4, "document": 2, "text": SHORT}


def test_common_and_field(place, capsys):
    (place / "other.jsonl").write_text(json.dumps({"question": COPIED}), encoding="utf-8")
    assert command(place, "--field", "question", "--common", 1, tasks="other.jsonl") == 0
    assert "flagged                         1" in capsys.readouterr().out


def test_own_text_is_read_whole_and_a_split_if_asked(place, capsys):
    """`load` would leave a tenth of it to validation and test: a copy there would be missed."""
    texts = [f"document {number} of many" for number in range(60)]
    folder = place / "many"
    folder.mkdir()
    (folder / "all.jsonl").write_text(
        "\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8"
    )
    (place / "all.jsonl").write_text((folder / "all.jsonl").read_text())
    counts = []
    for options in ([], ["--split", "train"], ["--split", "validation"], ["--split", "test"]):
        code = command(place, "--n", 4, *options, corpus="many", tasks="all.jsonl")
        out = capsys.readouterr().out
        counts.append(int(out.split(" documents")[0].split()[-1]) if code == 0 else 0)
        if code == 0:
            assert f"flagged                  {counts[-1]:>8}" in out
    assert counts[0] == 60 == sum(counts[1:])
    assert 40 < counts[1] < 60


def test_a_corpus_by_name(place, capsys):
    assert main(["contamination", "factbook", str(place / "tasks.jsonl"), "--split", "test"]) == 0
    assert capsys.readouterr().out.startswith("factbook (test): ")


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["contamination", "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for words in (
        "text:PATH",
        '{"text":',
        "paraphrases",
        "--show",
        "examples:",
        "Brown et al. 2020",
    ):
        assert words in out


MISTAKES = {
    "no such corpus": (["almanac", "tasks.jsonl"], "Unknown corpus 'almanac'", "text:<path>"),
    "no such folder": (["text:nowhere", "tasks.jsonl"], "no file or folder", "nowhere"),
    "no path": (["text:", "tasks.jsonl"], "text:PATH"),
    "no such tasks": (["world", "nothing.jsonl"], "No file nothing.jsonl", ".jsonl"),
    "a folder of tasks": (["world", "corpus"], "No file corpus"),
    "no items": (["world", "empty.jsonl"], "empty.jsonl is empty", '{"text": "..."}'),
    "no JSON": (["world", "bad.jsonl"], "bad.jsonl, line 2", '{"text": "..."}'),
    "no object": (["world", "list.jsonl"], "list.jsonl, line 1", "JSON object"),
    "another field": (["world", "field.jsonl"], "no field 'text'", "question", "--field"),
    "no text": (["world", "number.jsonl"], "'text' is int, not a text"),
    "half a character": (["world", "half.jsonl"], "lone surrogate"),
    "not UTF-8": (["world", "latin.jsonl"], "not UTF-8"),
    "n": (["world", "tasks.jsonl", "--n", "0"], "--n 0", "at least 1"),
    "common": (["world", "tasks.jsonl", "--common", "0"], "--common 0", "at least 1"),
    "show": (["world", "tasks.jsonl", "--show", "-1"], "--show -1", "0 or more"),
    "no folder for the report": (["world", "tasks.jsonl", "--out", "no/r.json"], "no folder no"),
    "a folder for the report": (
        ["text:corpus", "tasks.jsonl", "--out", "corpus"],
        "--out corpus is a folder",
    ),
}


@pytest.mark.parametrize(
    ("arguments", "words"), [(a, w) for a, *w in MISTAKES.values()], ids=MISTAKES
)
def test_mistakes_are_one_line_that_names_the_fix(arguments, words, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    (place / "empty.jsonl").write_text("\n \n")
    (place / "bad.jsonl").write_text('{"text": "a"}\n{"text": \n')
    (place / "list.jsonl").write_text('["a"]\n')
    (place / "field.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    (place / "number.jsonl").write_text('{"text": 3}\n')
    (place / "half.jsonl").write_text('{"text": "\\ud83d"}\n')
    (place / "latin.jsonl").write_bytes('{"text": "é"}\n'.encode("latin1"))
    assert main(["contamination", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error


def test_items_may_hold_line_ends_of_any_kind(tmp_path):
    """A line ends at a newline; other separators may stand inside a text."""
    path = tmp_path / "tasks.jsonl"
    path.write_bytes('\ufeff{"text": "a\u2028b"}\r\n{"text": "c"}'.encode())
    assert read_items(path) == ["a\u2028b", "c"]
