"""The shape of a transformer, and how many parameters it has.

Seven families, and the few things in which they differ for a count: which stacks they have, whether
their linear layers have biases, what they know positions by, how many normalisations stand outside
the layers. `tests/compute` holds every count against the models themselves.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from course_lib.runtime.checks import BadArgumentError, Count, NotNegativeCount, checked

Family = Literal["bert", "roberta", "gpt2", "gpt3", "bloom", "t5", "bart"]
Stacks = Literal["encoder", "decoder", "both"]


@dataclass(frozen=True)
class Architecture:
    """What all sizes of a family share.

    Attributes:
        stacks: an encoder, a decoder, or both.
        objective: the family's own training objective, by the name that recipes use.
        position_tables: tables of learned positions, and `extra_rows` of embeddings beside them:
            segments, and the offset at which RoBERTa and BART begin to count.
        loose_norms: normalisations that belong to no layer.
        biases: whether linear layers add a bias and normalisations shift; T5 does neither.
        head: BERT's and RoBERTa's extra layer between the last hidden state and the vocabulary.
        distance_buckets: rows of T5's table of relative distances, one column a head.
    """

    stacks: Stacks
    objective: str
    position_tables: int = 0
    extra_rows: int = 0
    loose_norms: int = 1
    biases: bool = True
    head: bool = False
    distance_buckets: int = 0


ARCHITECTURES = MappingProxyType(
    {
        "bert": Architecture("encoder", "masked", position_tables=1, extra_rows=2, head=True),
        "roberta": Architecture("encoder", "masked", position_tables=1, extra_rows=3, head=True),
        "gpt2": Architecture("decoder", "causal", position_tables=1),
        "gpt3": Architecture("decoder", "causal", position_tables=1),
        "bloom": Architecture("decoder", "causal", loose_norms=2),
        "t5": Architecture("both", "span", loose_norms=2, biases=False, distance_buckets=64),
        "bart": Architecture("both", "infilling", position_tables=2, extra_rows=4, loose_norms=2),
    }
)


@checked
@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of one transformer.

    Attributes:
        family: bert, roberta, gpt2, gpt3, bloom, t5 or bart.
        width: of the residual stream.
        layers: in each stack; T5 and BART have as many in the decoder as in the encoder.
        heads: attention heads in a layer.
        vocab_size: rows of the token embedding.
        positions: the longest row that learned positions allow, in tokens; BLOOM and T5 have none.
        feed_forward: inner width of the feed-forward layers; None is four times the width.
        head_width: of one attention head; None is width / heads, which all but T5's largest have.
        tied: whether the vocabulary layer is the token embedding, used a second time.

    Raises:
        BadArgumentError: an unknown family, a size that is not a whole number of 1 or more, or
            heads that do not divide the width.
    """

    family: Family
    width: Count
    layers: Count
    heads: Count
    vocab_size: Count
    positions: NotNegativeCount = 0
    feed_forward: Count | None = None
    head_width: Count | None = None
    tied: bool = True

    def __post_init__(self) -> None:
        if self.head_width is None and self.width % self.heads:
            raise BadArgumentError(
                f"width={self.width} does not divide into heads={self.heads}: make it a multiple, "
                "or give head_width."
            )

    @property
    def architecture(self) -> Architecture:
        """What the shape shares with all of its family."""
        return ARCHITECTURES[self.family]

    @property
    def attention_width(self) -> int:
        """All heads of a layer together: the width, unless `head_width` says otherwise."""
        return self.heads * (self.head_width or self.width // self.heads)

    @property
    def inner_width(self) -> int:
        """Of the feed-forward layers."""
        return self.feed_forward or 4 * self.width

    @property
    def encoder_layers(self) -> int:
        """Layers that see both sides of a token."""
        return self.layers if self.architecture.stacks != "decoder" else 0

    @property
    def decoder_layers(self) -> int:
        """Layers that see the left side of a token only."""
        return self.layers if self.architecture.stacks != "encoder" else 0

    @property
    def parameters(self) -> int:
        """All trainable numbers, tied weights once."""
        return sum(self.parameter_parts().values())

    @property
    def non_embedding_parameters(self) -> int:
        """All but the tables that turn tokens, positions and segments into vectors.

        What Kaplan et al. 2020 (section 2.1) call N. An untied vocabulary layer is left out too.
        """
        return self.parameters - self.parameter_parts()["embeddings"]

    def parameter_parts(self) -> dict[str, int]:
        """Parameters by where they sit: embeddings, attention, feed-forward, norms, head."""
        family, width = self.architecture, self.width
        both = family.stacks == "both"
        norm = 2 * width if family.biases else width
        attentions = self.encoder_layers + self.decoder_layers * (1 + both)
        layers = self.encoder_layers + self.decoder_layers
        attention = 4 * width * self.attention_width
        feed_forward = 2 * width * self.inner_width
        if family.biases:
            attention += 3 * self.attention_width + width
            feed_forward += self.inner_width + width
        rows = family.position_tables * self.positions + family.extra_rows
        tables = self.vocab_size * (1 if self.tied else 2)
        head = width**2 + width + norm + self.vocab_size if family.head else 0
        return {
            "embeddings": (tables + rows) * width,
            "attention": attentions * attention + family.distance_buckets * self.heads,
            "feed-forward": layers * feed_forward,
            "norms": (attentions + layers + family.loose_norms) * norm,
            "head": head,
        }
