"""What a recipe will take, before it is run: weights, tokens, memory, time and cost, by formula."""

from dataclasses import replace

from course_lib.compute import (
    Accelerator,
    Shape,
    recipe_shape,
    row_of,
    training_bill,
    training_flops,
)
from course_lib.compute.hardware import TYPICAL_UTILISATION
from course_lib.models import FAMILIES, published_sizes
from course_lib.runtime.checks import Count, NotNegative, checked
from course_lib.runtime.errors import CourseError
from course_lib.training.fitting import GB, memory_needed, shape_of
from course_lib.training.recipe import Recipe

CORRUPTING = ("masked", "masked-static", "span", "infilling")


def fresh_shape(recipe: Recipe) -> Shape:
    """The shape of a fresh model, of a published size too.

    Raises:
        CourseError: the recipe starts from a trained model, whose shape it does not say.
    """
    if recipe.model is None or recipe.model.published is None:
        return recipe_shape(recipe)
    family = recipe.model.family
    size = next(s for s in published_sizes(family) if s.name == recipe.model.published)
    shape = shape_of(FAMILIES[family].config_class(**size.config))
    return replace(shape, family=family, vocab_size=recipe.data.vocab_size)


@checked
def plan(
    recipe: Recipe,
    accelerator: Accelerator,
    devices: Count = 1,
    hour_price: NotNegative | None = None,
) -> str:
    """A few lines on what a recipe takes on so many accelerators, one process on each.

    The memory is the least that is needed (`course_lib.training.fitting`), the time lies between
    the lowest and the highest utilisation of published runs (`training_bill`). `hour_price` is of
    one device, in any currency.

    Raises:
        BadArgumentError: fewer than one device, or a negative price.
        CourseError: the recipe starts from a trained model, or its batch does not divide.
    """
    shape, settings, length = fresh_shape(recipe), recipe.optimization, recipe.data.length
    at_a_time, left = divmod(settings.batch, devices * settings.micro_batches)
    if left:
        raise CourseError(
            f"A batch of {settings.batch} rows does not divide into {devices} processes with "
            f"{settings.micro_batches} micro-batches each: change batch, micro_batches or devices."
        )
    objective = recipe.objective_name if recipe.objective_name in CORRUPTING else "causal"
    row = row_of(objective, length, recipe.objective.rate, settings.batch)
    flops = settings.steps * settings.batch * training_flops(shape, row)
    tokens = settings.batch * length
    mixed = settings.precision not in ("no", "tf32")  # "auto" too, on what one buys for it
    memory = memory_needed(shape, row, at_a_time, settings, mixed=mixed, shards=devices)
    kept = memory.total - memory.activations
    precision = "half" if mixed else {"no": "fp32"}.get(settings.precision, "tf32")
    bill = training_bill(flops, accelerator, devices, precision=precision, hour_price=hour_price)
    has = accelerator.memory / GB
    low, high = (round(100 * share) for share in TYPICAL_UTILISATION)
    lines = [
        f"{recipe.name}: {shape.parameters:,} weights, {settings.steps * tokens / 1e9:.3g} billion "
        f"tokens ({settings.steps:,} steps of {tokens:,}), {flops:.2e} FLOPs",
        f"memory: at least {memory.total / GB:.1f} GB on each device, of {has:.0f} "
        f"({kept / GB:.1f} for weights, gradients and moments, {memory.activations / GB:.1f} for "
        f"{at_a_time} rows at a time)",
        f"time: {bill.days} days on {devices} x {accelerator.name}, at {high} to {low} % of the "
        f"peak: {bill.device_hours} device hours",
    ]
    if bill.energy:
        lines.append(f"energy: {bill.energy} kWh")
    if bill.price:
        lines.append(f"price: {bill.price}, at {hour_price:g} a device and hour")
    return "\n".join(lines)
