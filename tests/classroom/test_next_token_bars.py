"""Guards the bars of what a model expects next: the numbers are the model's, for every kind of it.

pytest tests/classroom/test_next_token_bars.py
"""

import matplotlib.pyplot as plt
import pytest
import torch
from tiny import tiny_model, word_tokenizer
from torch.testing import assert_close

from course_lib.classroom import explore, next_token_bars, widgets
from course_lib.generation import cloze, filter_logits, next_token_distribution
from course_lib.objectives import target_losses
from course_lib.runtime import CourseError

PROMPTS = {
    "gpt2": "the cat sat on",
    "bert": "the [MASK] sat on [MASK]",
    "t5": "the cat <extra_id_0> on <extra_id_1>",
    "bart": "the cat <mask> on mat",
}


def bars(family: str, prompt: str | None = None, **options):
    """(names of the tokens, heights of each set of bars, the figure), which is closed."""
    model = tiny_model(family)
    for parameter in model.parameters():  # lively, so that no two tokens are equally likely
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    figure = next_token_bars(model, word_tokenizer(family), prompt or PROMPTS[family], **options)
    (ax,) = figure.axes
    names = [label.get_text() for label in ax.get_xticklabels()]
    heights = [[patch.get_height() for patch in container] for container in ax.containers]
    plt.close(figure)
    return model, names, heights, figure


def probability(family: str, model, written: list[str], token: str) -> float:
    """What an encoder-decoder gives `token` after it has written `written`, by its loss."""
    tokenizer = word_tokenizer(family)
    ids = tokenizer(PROMPTS[family], return_tensors="pt")["input_ids"]
    labels = torch.tensor([tokenizer.convert_tokens_to_ids([*written, token])])
    return (-target_losses(model.eval(), {"input_ids": ids, "labels": labels})[0, -1]).exp().item()


def test_a_causal_model_is_asked_what_follows():
    model, names, (heights,), _ = bars("gpt2", k=7)
    known = next_token_distribution(model, word_tokenizer("gpt2"), PROMPTS["gpt2"], k=7)
    assert names == list(known.index)
    assert_close(heights, known.tolist())


def test_a_masked_model_is_asked_for_the_first_mask():
    model, names, (heights,), _ = bars("bert", k=7)
    known = cloze(model, word_tokenizer("bert"), [PROMPTS["bert"]], k=7)
    first = known[known.gap == 0]
    assert names == list(first.token)
    assert_close(heights, first.probability.tolist())


@pytest.mark.parametrize(
    ("family", "written"), [("t5", ["<extra_id_0>"]), ("bart", ["the", "cat"])]
)
def test_an_encoder_decoder_is_asked_for_the_first_token_of_the_gap(family, written):
    model, names, (heights,), _ = bars(family, k=5)
    assert heights == sorted(heights, reverse=True)
    assert_close(heights, [probability(family, model, written, name) for name in names])


@pytest.mark.parametrize("family", PROMPTS)
@pytest.mark.parametrize(("temperature", "top_p"), [(0.5, 1.0), (1.0, 0.6), (2.0, 0.3), (0, 1.0)])
def test_the_second_bars_are_what_is_drawn_from(family, temperature, top_p):
    size = len(word_tokenizer(family))
    *_, (trained, drawn), figure = bars(family, k=size, temperature=temperature, top_p=top_p)
    logits = torch.tensor(trained).log()
    expected = filter_logits(logits, temperature=temperature, top_p=top_p).softmax(dim=-1)
    assert_close(torch.tensor(drawn), expected, atol=1e-5, rtol=1e-4)
    left = sum(height > 0 for height in drawn)
    assert f"{left:,} of {size:,} tokens left" in figure.get_label()


@pytest.mark.parametrize(("family", "name"), [("bert", "[MASK]"), ("t5", "<extra_id_0>")])
def test_a_prompt_without_a_gap_is_told_how_one_looks(family, name):
    with pytest.raises(CourseError, match="The prompt has no") as error:
        bars(family, "the cat sat on mat")
    assert name in str(error.value)


def test_a_prompt_is_as_long_as_the_model_reads():
    long = 40 * "mat " + "[MASK]"
    with pytest.raises(CourseError, match="41 tokens and the model reads 24: shorten it"):
        bars("bert", long)
    _, names, (heights,), _ = bars("gpt2", 40 * "mat ")
    _, same, (equal,), _ = bars("gpt2", 24 * "mat ")
    assert (names, heights) == (same, equal)


def test_the_figure_says_in_words_what_it_shows():
    _, names, (heights,), figure = bars("gpt2")
    label = figure.get_label()
    assert label.startswith('Probability of the next token after "the cat sat on" at temperature 1')
    assert f"Likeliest: {names[0]} {heights[0]:.2f}, {names[1]} {heights[1]:.2f}" in label
    assert figure.axes[0].get_ylabel() == "probability"


def test_a_long_prompt_with_dollars_is_drawn_as_it_stands():
    *_, figure = bars("gpt2", 40 * "mat " + "$ cat $")
    title = figure.axes[0].title
    assert len(title.get_text()) < 90
    assert not title.get_parse_math()
    assert all(not label.get_parse_math() for label in figure.axes[0].get_xticklabels())


def curious(prompt="the cat sat on", temperature=1.0):
    figure = next_token_bars(
        tiny_model("gpt2"), word_tokenizer("gpt2"), prompt, temperature=temperature
    )
    return figure


def test_without_a_reader_the_bars_of_the_default_prompt_stay(capsys):
    explore(curious, prompt="", temperature=(0.1, 3.0, 0.1))
    assert '[figure] Probability of the next token after "the cat' in capsys.readouterr().out
    assert not plt.get_fignums()


def test_a_reader_types_a_prompt_and_learns_what_is_wrong_with_it():
    panel = widgets.panel(curious, {"prompt": "", "temperature": (0.1, 3.0, 0.1)})
    prompt, temperature, output = panel.children
    assert prompt.value == "the cat sat on"
    assert prompt.continuous_update is False, "drawn on Enter, not on every letter"
    assert prompt.description == "prompt"
    prompt.value = "dog ran to"
    assert "after &quot;dog ran to&quot;" in output.value
    temperature.value = 0.5
    assert "temperature 0.5" in output.value
    assert not plt.get_fignums()
