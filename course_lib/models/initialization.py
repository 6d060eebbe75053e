"""Where training starts: fresh attention that looks at what is near.

A gap knows nothing by itself, so before a head looks at a neighbour there is nothing to learn
from, and with random positions a tiny model spends most of its minute on finding out which tokens
are neighbours. The starts here spare it that. They are only where training starts: every weight
is trained afterwards, and the architecture is the library's.
"""

import torch
from transformers import PreTrainedModel


@torch.no_grad()
def initialize_local_attention(model: PreTrainedModel) -> None:
    """Let a fresh BERT, RoBERTa or T5 begin with attention to what is near; others stay as is."""
    match model.config.model_type:
        case "bert" | "roberta":
            _sinusoids(model)
        case "t5":
            _penalty_on_distance(model)


def _sinusoids(model: PreTrainedModel) -> None:
    """Learned positions: begin with waves and with equal query and key weights.

    Sinusoids (Vaswani et al. 2017, section 3.5) make near positions alike, and equal query and
    key weights (Trockman and Kolter 2023) make like attend to like.
    """
    encoder = model.base_model
    table = encoder.embeddings.position_embeddings.weight
    positions, width = table.shape
    angle = torch.arange(positions)[:, None] * 100 ** (-torch.arange(0, width, 2) / width)
    amplitude = 2**0.5 * model.config.initializer_range
    table[:, 0::2] = amplitude * angle.sin()
    table[:, 1::2] = amplitude * angle.cos()[:, : width // 2]
    for layer in encoder.encoder.layer:
        layer.attention.self.key.weight.copy_(layer.attention.self.query.weight)


def _penalty_on_distance(model: PreTrainedModel) -> None:
    """Relative positions: begin with minus one for each token of distance, in every head.

    That is ALiBi's penalty (Press et al. 2022, section 3), with one slope for all heads and for
    both directions, in T5's table of learned biases (Raffel et al. 2020, section 2.1). A bucket
    that holds several distances gets the smallest of them.
    """
    reach = model.config.relative_attention_max_distance + 1
    places = torch.arange(reach)
    distance = (places[:, None] - places).abs().float().flatten()
    for stack in (model.encoder, model.decoder):
        attention = stack.block[0].layer[0].SelfAttention
        table = attention.relative_attention_bias.weight
        # With its own number in each bucket, the table shows which bucket a distance falls into.
        table.copy_(torch.arange(len(table))[:, None].expand_as(table))
        bucket = attention.compute_bias(reach, reach)[0, 0].long().flatten()
        nearest = torch.full((len(table),), float(reach)).scatter_reduce(
            0, bucket, distance, "amin"
        )
        table.copy_(-nearest[:, None].expand_as(table))
