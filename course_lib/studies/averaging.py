"""Half-way back: weights of SmolLM2 between before and after tuning; for notebook 12.

Where there is no old data, there are still the old weights. The tuned model of notebook 11 (all
weights, thirty steps of reviews) is mixed with the one that it started
from: each weight half-way back (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).

Written down before the measurements were made:

- If this were no cure, the points would lie on the straight line between before and after: what is
  kept is lost of the task, one for one. A cure bends outwards: at half-way back, most of both.
- The laziest opponent is fewer steps or a lower rate: it lies between before and after as well.
- The bar is that of the other cures: access within five points of the start, four fifths of the
  gain on reviews. Half-way was fixed beforehand; no other point was tried.
"""

from typing import Any

from course_lib.models.pinned import Published
from course_lib.studies.cures import averaged
from course_lib.studies.design import study
from course_lib.studies.tuning import TUNED, measured, start_model
from course_lib.training import Run

HALF = 0.5


def measure_average(run: Run) -> dict[str, Any]:
    """All that is measured of a tuned SmolLM2, half-way back."""
    start = start_model()
    model = averaged(start.model, run.model, HALF)
    return measured(Published("averaged-smollm2", model, run.tokenizer), start)


STUDIES = (study("averaging-smollm2", [TUNED], measure_average, tolerance=0.1),)
