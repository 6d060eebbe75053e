"""A new head on a pre-trained body: one linear layer that gives each token a score for each label.

Devlin et al. 2019, section 3.2: all weights are then trained, the body's too.
"""

import copy

import torch
from transformers import AutoModelForTokenClassification, PreTrainedModel

from course_lib.runtime import seed_of
from course_lib.runtime.checks import Count, Whole, checked


@checked
def with_head(body: PreTrainedModel, labels: Count, seed: Whole) -> PreTrainedModel:
    """A copy of a model with a fresh head for `labels` labels in the place of its own.

    Of an encoder-decoder, the encoder alone is used. The head's weights follow from the seed.
    """
    torch.manual_seed(seed_of(seed, "head"))
    config = copy.deepcopy(body.config)
    config.num_labels = labels
    model = AutoModelForTokenClassification.from_config(config)
    trained = body.base_model.state_dict()
    model.base_model.load_state_dict(
        {name: trained[name] for name in model.base_model.state_dict()}
    )
    return model.to(body.device)
