"""The recorded experiments of the notebooks: which recipes, how many seeds, what is measured.

`make runs` makes those that are missing. A notebook takes its live recipe from here too, with a
seed of its own, so the reader's run is one more of the recorded kind. A module a notebook; here
they come together.
"""

from course_lib.classroom.studies import causal, ladder, masked, objectives, spans

MODULES = (masked, causal, spans, objectives, ladder)
STUDIES = {study.name: study for module in MODULES for study in module.STUDIES}

# The base models that notebooks start from, by the name of their folder in `data/checkpoints/`.
BASES = {
    "bert-world": masked.MASKED_WORLD,
    "gpt2-world": causal.CAUSAL_WORLD_LONG,
    "bart-world": spans.INFILLING_WORLD,
}
