"""What each of the seven families is: one table.

Each family is a class of `transformers`; what the course adds is how it may be trained. A family's
*attention* decides which objectives teach it anything: where a token is seen that is to be
predicted, a model copies it and its loss falls to nothing.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from course_lib.runtime.checks import BadArgumentError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

Attention = Literal["both", "left"]

HEADS = ("classification", "tagging")  # a new head on the body, trained on labels


@dataclass(frozen=True)
class Family:
    """One family of models.

    `model` and `config` are names of `transformers` classes. `kind` says what the labels of a
    batch mean (`course_lib.objectives.loss`), `objectives` what it can be trained on, its own
    first, and `left_objectives` the same under a causal mask, empty where there is no such choice.
    `positions` says how it knows the order of tokens; `paper` is where it was introduced.
    """

    name: str
    kind: str
    model: str
    config: str
    objectives: tuple[str, ...]
    positions: str
    paper: str
    left_objectives: tuple[str, ...] = ()

    @property
    def objective(self) -> str:
        """Its own training objective."""
        return self.objectives[0]

    @property
    def model_class(self) -> "type[PreTrainedModel]":
        """The `transformers` model class."""
        return _transformers_class(self.model)

    @property
    def config_class(self) -> "type[PreTrainedConfig]":
        """The `transformers` configuration class."""
        return _transformers_class(self.config)


def _transformers_class(name: str) -> type:
    import transformers

    return getattr(transformers, name)


_ALL = (
    Family(
        "bert",
        "masked",
        "BertForMaskedLM",
        "BertConfig",
        ("masked", "masked-static", *HEADS),
        "learned",
        "Devlin et al. 2019, BERT, arXiv:1810.04805",
        left_objectives=("masked", "masked-static", "causal", *HEADS),
    ),
    Family(
        "roberta",
        "masked",
        "RobertaForMaskedLM",
        "RobertaConfig",
        ("masked", "masked-static", *HEADS),
        "learned",
        "Liu et al. 2019, RoBERTa, arXiv:1907.11692",
    ),
    Family(
        "gpt2",
        "causal",
        "GPT2LMHeadModel",
        "GPT2Config",
        ("causal", "supervised", *HEADS),
        "learned",
        "Radford et al. 2019, Language Models are Unsupervised Multitask Learners",
    ),
    Family(
        "gpt3",
        "causal",
        "GPT2LMHeadModel",
        "GPT2Config",
        ("causal", "supervised", *HEADS),
        "learned",
        "Brown et al. 2020, Language Models are Few-Shot Learners, arXiv:2005.14165",
    ),
    Family(
        "bloom",
        "causal",
        "BloomForCausalLM",
        "BloomConfig",
        ("causal", "supervised", *HEADS),
        "ALiBi",
        "BigScience Workshop 2022, BLOOM, arXiv:2211.05100",
    ),
    Family(
        "t5",
        "seq2seq",
        "T5ForConditionalGeneration",
        "T5Config",
        ("span", "supervised", *HEADS),
        "relative",
        "Raffel et al. 2020, Exploring the Limits of Transfer Learning, arXiv:1910.10683",
    ),
    Family(
        "bart",
        "seq2seq",
        "BartForConditionalGeneration",
        "BartConfig",
        ("infilling", "supervised"),
        "learned",
        "Lewis et al. 2020, BART, arXiv:1910.13461",
    ),
)
FAMILIES = MappingProxyType({family.name: family for family in _ALL})

_WHY = {
    ("masked", "causal"): "it sees the token that it is to predict, and would copy it; "
    'attention = "left" hides it',
    ("causal", "masked"): "it sees the left side of a gap alone",
}


def require_family(name: str) -> None:
    """Refuse a name that no family has.

    Raises:
        BadArgumentError: names the seven.
    """
    if name not in FAMILIES:
        raise BadArgumentError(f"family={name!r}: choose one of {', '.join(FAMILIES)}.")


def require_trainable(family: str, objective: str, attention: str = "both") -> None:
    """Refuse pairs of a family and an objective that cannot be, or that teach nothing.

    Raises:
        BadArgumentError: names the pair, the reason, and what the family can be trained on.
    """
    require_family(family)
    entry = FAMILIES[family]
    if attention == "left" and not entry.left_objectives:
        choices = ", ".join(name for name, one in FAMILIES.items() if one.left_objectives)
        raise BadArgumentError(
            f'attention = "left" with {family}: it decides its own attention; only {choices} can '
            "be held to one side."
        )
    allowed = entry.left_objectives if attention == "left" else entry.objectives
    if objective not in allowed:
        why = _WHY.get((entry.kind, objective.partition("-")[0]))
        reason = f" ({why})" if why else ""
        raise BadArgumentError(
            f'objective = "{objective}" does not train a {family}{reason}: choose one of '
            f"{', '.join(allowed)}."
        )
