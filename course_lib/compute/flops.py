"""Floating point operations of training and inference, by formula.

Counted are matrix multiplications, two operations for each multiply-add, as in PyTorch's
`FlopCounterMode` and in Kaplan et al. 2020 (section 2.1). Attention scores count in full, also
those that a causal mask hides. Softmax, normalisation, the optimizer and all else that goes element
by element is left out: it takes time, but few operations.
"""

from typing import Any, Protocol

from course_lib.compute.rows import Objective, Row, row_of
from course_lib.compute.shapes import Shape
from course_lib.runtime.checks import BadArgumentError, Count, NotNegative, Share, checked
from course_lib.runtime.errors import CourseError

BACKWARD = 2  # times the forward pass: one product for the input's gradient, one for the weight's


class TrainingRecipe(Protocol):
    """The tables of a recipe that decide what it costs (`course_lib.training.Recipe`)."""

    data: Any
    model: Any
    objective: Any
    optimization: Any


@checked
def six_nd(parameters: NotNegative, tokens: NotNegative) -> float:
    """Training FLOPs by the rule of thumb 6ND (Kaplan et al. 2020, section 2.1).

    Two operations a parameter and token forward, four backward. It supposes that each token
    passes through each parameter, so an encoder-decoder costs about half of it, and it leaves out
    attention between positions.

    Raises:
        BadArgumentError: a number that is negative or not finite.
    """
    return 6 * parameters * tokens


@checked
def forward_parts(shape: Shape, row: Row) -> dict[str, float]:
    """FLOPs of the forward pass of one row, by part of the model.

    Raises:
        BadArgumentError: decoder positions for a family with one stack, or none for T5 and BART.
    """
    both = require_row_of(shape, row)
    inputs, outputs, layers = row.inputs, row.outputs, shape.layers
    projection = 2 * shape.width * shape.attention_width  # of one position, one of Q, K, V, O
    score = 4 * shape.attention_width  # of one pair: query times key, and weight times value
    # The decoder's second attention takes queries from its own side, keys and values from the
    # encoder's.
    projections = 4 * (inputs + outputs) + (2 * outputs + 2 * inputs if both else 0)
    pairs = inputs**2 + outputs**2 + inputs * outputs
    head = shape.width if shape.architecture.head else 0
    return {
        "attention projections": layers * projections * projection,
        "attention scores": layers * pairs * score,
        "feed-forward": layers * (inputs + outputs) * 4 * shape.width * shape.inner_width,
        "vocabulary": row.scored * 2 * shape.width * (shape.vocab_size + head),
    }


def require_row_of(shape: Shape, row: Row) -> bool:
    """Whether the family has both stacks; a BadArgumentError if the row is not for such a model."""
    both = shape.architecture.stacks == "both"
    if both != (row.outputs > 0):
        need = "some" if both else "no"
        raise BadArgumentError(
            f"outputs={row.outputs}: {shape.family} takes {need} decoder positions."
        )
    return both


@checked
def forward_flops(shape: Shape, row: Row) -> float:
    """FLOPs of the forward pass of one row: reading it, and scoring `row.scored` positions."""
    return sum(forward_parts(shape, row).values())


@checked
def training_flops(shape: Shape, row: Row) -> float:
    """FLOPs of forward and backward pass of one row."""
    return (1 + BACKWARD) * forward_flops(shape, row)


@checked
def generation_flops(shape: Shape, prompt: Count, new: Count) -> float:
    """FLOPs of writing `new` tokens behind a prompt, keys and values of earlier tokens kept.

    Each new token attends to all before it, and only the last position of the prompt is scored.
    T5 and BART read the prompt in the encoder and write behind their start token.

    Raises:
        BadArgumentError: an encoder, which writes nothing, or an empty prompt or continuation.
    """
    if shape.architecture.stacks == "encoder":
        raise BadArgumentError(
            f"shape={shape.family}: an encoder fills gaps, it does not generate."
        )
    both = shape.architecture.stacks == "both"
    # The last token that is written is not read again.
    row = Row(prompt, new, new) if both else Row(prompt + new - 1, scored=new)
    score = shape.layers * 4 * shape.attention_width
    written = new if both else new - 1
    # Without a cache `written` new tokens would have seen their right side too, masked.
    unseen = written * (written - 1) / 2 + (0 if both else prompt * written)
    return forward_flops(shape, row) - score * unseen


@checked
def step_flops(
    shape: Shape,
    length: Count,
    batch: Count,
    objective: Objective | None = None,
    rate: Share | None = None,
) -> float:
    """FLOPs of one optimizer step: forward and backward over `batch` rows of `length` tokens.

    `objective` None is the family's own; `rate` None that of the objective's paper.

    Raises:
        BadArgumentError: as `row_of` and `forward_parts`.
    """
    objective = objective or shape.architecture.objective
    return batch * training_flops(shape, row_of(objective, length, rate, batch))


def recipe_shape(recipe: TrainingRecipe) -> Shape:
    """The shape of the fresh model that a recipe trains.

    Raises:
        CourseError: the recipe starts from a trained model, whose shape it does not say.
    """
    data, model = recipe.data, recipe.model
    if model is None:
        raise CourseError("A recipe that starts from a trained model does not say its shape.")
    return Shape(
        family=model.family,
        width=model.width,
        layers=model.layers,
        heads=model.heads,
        vocab_size=data.vocab_size,
        positions=model.positions or data.length,
    )


def recipe_flops(recipe: TrainingRecipe) -> float:
    """FLOPs of a whole training run, evaluation left out.

    Raises:
        CourseError: as `recipe_shape`.
    """
    objective = None if recipe.objective.name == "auto" else recipe.objective.name
    rows, length = recipe.optimization.batch, recipe.data.length
    step = step_flops(recipe_shape(recipe), length, rows, objective, recipe.objective.rate)
    return recipe.optimization.steps * step
