"""Where training starts: fresh weights, a base model of the course, a saved run, a real model."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course_lib.models import FAMILIES, build, build_published, require_trainable
from course_lib.models.adapters import add_lora
from course_lib.models.heads import with_head
from course_lib.objectives.loss import kind_of
from course_lib.runtime import data_path, seed_of
from course_lib.runtime.errors import CourseError
from course_lib.runtime.folders import MANIFEST
from course_lib.runtime.packaged import packaged_path
from course_lib.training.recipe import Recipe
from course_lib.training.run import Run
from course_lib.training.tables import HEADED


@dataclass(frozen=True, eq=False)
class Start:
    """A model that is not fresh, with what the rest of a recipe follows from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    objective: str
    kind: str


def load_base(name: str) -> Run:
    """The base model of that name, from `data/checkpoints`, in fp32.

    Raises:
        CourseError: there is none; the message lists those there are.
    """
    folder = data_path("checkpoints", name)
    if not folder.is_dir():
        there = sorted(path.parent.name for path in data_path("checkpoints").glob("*/run.json"))
        raise CourseError(f"No base model {name!r}: there are {', '.join(there) or 'none yet'}.")
    return Run.load(folder)


def load_start(recipe: Recipe) -> Start | None:
    """The trained model that a recipe starts from, or None where it starts fresh.

    Raises:
        CourseError: no such model, or one that the recipe's objective does not train.
    """
    where, _, name = recipe.start.partition(":")
    if where == "fresh":
        return None
    if where == "base":
        found = load_base(name)
    elif where == "run":
        found = Run.load(Path(name).expanduser())
    elif where == "real":
        from course_lib.models.real import real

        found = real(name)
    else:
        from course_lib.models import published_model

        found = published_model(name)
    model, family = found.model, FAMILIES.get(found.model.config.model_type)
    objective = recipe.objective.name
    kind = family.kind if family else kind_of(model)
    if objective == "auto":
        objective = family.objective if family else kind
    # A family that is not among the seven trains as the one of its kind does.
    require_trainable(family.name if family else _LIKE[kind], objective)
    if objective not in HEADED:
        kind_of(model)  # a body without a head for words is refused here, by name
    return Start(model, found.tokenizer, objective, kind)


_LIKE = {"causal": "gpt2", "masked": "bert", "seq2seq": "t5"}


def fresh_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The recipe's model before training; its weights are a function of the seed."""
    torch.manual_seed(seed_of(recipe.seed, "weights"))
    shape = recipe.model
    if shape.published is not None:
        return build_published(shape.family, shape.published, tokenizer, shape.dropout)
    return build(
        shape.family,
        tokenizer,
        width=shape.width,
        layers=shape.layers,
        heads=shape.heads,
        length=shape.positions or recipe.data.length,
        dropout=shape.dropout,
        attention=shape.attention,
        objective=recipe.objective_name,
    )


def model_to_train(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, start: Start | None, labels: int | None
) -> torch.nn.Module:
    """What the loop gets: the fresh or the started model, with a new head or an adapter if asked.

    `labels` is the number of labels of the examples, None where there are none.
    """
    model = start.model if start else fresh_model(recipe, tokenizer)
    if labels is not None:
        model = with_head(model, labels, recipe.seed)
    if recipe.adapter is not None:
        torch.manual_seed(seed_of(recipe.seed, "adapter"))
        options = recipe.adapter.model_dump(exclude={"kind"})
        model = add_lora(model, **options)
    return model


def start_digest(recipe: Recipe) -> str:
    """Names the weights that a recipe starts from; empty where it starts fresh.

    Two runs of one recipe are the same only if they start from the same weights.
    """
    where, _, name = recipe.start.partition(":")
    if where == "fresh":
        return ""
    folders = {
        "base": data_path("checkpoints", name),
        "run": Path(name).expanduser(),
        "real": packaged_path(name),
    }
    manifest = folders[where] / MANIFEST if where in folders else None
    if manifest is None or not manifest.is_file():
        return hashlib.sha256(recipe.start.encode()).hexdigest()[:12]
    return hashlib.sha256(manifest.read_bytes()).hexdigest()[:12]
