"""All studies and base models, by name: what `make runs` makes."""

from course_lib.studies import (
    averaging,
    card,
    causal,
    contaminated,
    cures,
    docstrings,
    domains,
    forgetting,
    instructions,
    kinds,
    labels,
    ladder,
    laws,
    masked,
    objectives,
    passages,
    pretraining,
    reading,
    reminders,
    spans,
    tails,
    tuning,
    weighed,
)

MODULES = (
    masked,
    causal,
    spans,
    tails,
    passages,
    objectives,
    ladder,
    laws,
    labels,
    instructions,
    forgetting,
    cures,
    kinds,
    tuning,
    averaging,
    reminders,
    weighed,
    contaminated,
    card,
    pretraining,
    domains,
    docstrings,
)
STUDIES = {study.name: study for module in MODULES for study in module.STUDIES}

# The base models that notebooks start from, by the name of their folder in `data/checkpoints/`.
BASES = {
    "bert-world": masked.MASKED_WORLD,
    "gpt2-world": causal.CAUSAL_WORLD_LONG,
    "bart-world": spans.INFILLING_WORLD,
    "gpt2-prose": reading.PROSE,
    "gpt2-almanac": instructions.recipe(instructions.BASE),
    "gpt2-general": domains.BASE,
}
