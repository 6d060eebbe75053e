"""From a prompt and its completion to tokens: templates, and where the loss begins.

A template is text around the prompt that tells a model where a question ends and an answer begins.
Prompt and completion are tokenized apart, so that the border between them is exact; what either
spells of the template's own marks stays plain text.
"""

from typing import Literal

from transformers import PreTrainedTokenizerBase

from course_lib.corpora.packing import encode
from course_lib.runtime.checks import Texts, checked
from course_lib.runtime.errors import CourseError

Template = Literal["plain", "alpaca", "chat"]
_PROMPT = "\ue000"  # of the private use area: stands where the prompt will be

# Taori et al. 2023, Stanford Alpaca, the form for instructions without an input.
ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    f"the request.\n\n### Instruction:\n{_PROMPT}\n\n### Response:\n"
)


@checked
def encode_prompts(
    prompts: Texts, tokenizer: PreTrainedTokenizerBase, template: Template = "plain"
) -> list[list[int]]:
    """Token ids of each prompt in its template, up to where the model is to write.

    "plain" is the prompt as the tokenizer begins a text, "alpaca" puts it under a heading, "chat"
    is the chat template that the tokenizer brings (ChatML for SmolLM2).

    Raises:
        BadArgumentError: no list of texts, or another template.
        CourseError: "chat" with a tokenizer that has no chat template, or one that does not show
            the prompt once.
    """
    if template == "plain":
        return [_opened(ids, tokenizer) for ids in encode(prompts, tokenizer)]
    before, after = _frame(tokenizer, template)
    return [[*before, *ids, *after] for ids in encode_inside(prompts, tokenizer)]


@checked
def encode_completions(
    completions: Texts, tokenizer: PreTrainedTokenizerBase, template: Template = "plain"
) -> list[list[int]]:
    """Token ids of each completion, closed by the end token.

    After a plain prompt a completion begins with the one space that a word has inside a text.

    Raises:
        BadArgumentError: no list of texts, or another template.
        CourseError: a tokenizer without an end token, which could never stop.
    """
    if tokenizer.eos_token_id is None:
        raise CourseError("The tokenizer has no end token: set tokenizer.eos_token.")
    if template == "plain":
        completions = [f" {text.lstrip(' ')}" for text in completions]
    return [[*ids, tokenizer.eos_token_id] for ids in encode_inside(completions, tokenizer)]


@checked
def encode_inside(texts: Texts, tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """As `encode`, without the special tokens around a text: what stands in the middle of a row."""
    if not texts:
        return []
    return tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)[
        "input_ids"
    ]


def _opened(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Without an end token behind it: the text goes on."""
    if len(ids) > 1 and ids[-1] in (tokenizer.eos_token_id, tokenizer.sep_token_id):
        return ids[:-1]
    return ids


def _frame(tokenizer: PreTrainedTokenizerBase, template: Template) -> tuple[list[int], list[int]]:
    """Token ids before and after the prompt; here the marks of the template are marks."""
    if template == "alpaca":
        before, after = ALPACA.split(_PROMPT)
        opened = _opened(tokenizer(before)["input_ids"], tokenizer)
        return opened, tokenizer(after, add_special_tokens=False)["input_ids"]
    if tokenizer.chat_template is None:
        raise CourseError(
            'data.template = "chat": the tokenizer has no chat template; choose "plain", "alpaca".'
        )
    turns = [{"role": "user", "content": _PROMPT}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    if text.count(_PROMPT) != 1:
        raise CourseError(
            f"The tokenizer's chat template shows a message {text.count(_PROMPT)} times: it must "
            "be once."
        )
    return tuple(tokenizer(text.split(_PROMPT), add_special_tokens=False)["input_ids"])
