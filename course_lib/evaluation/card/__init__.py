"""Seven measures of one model, as HELM takes them (Liang et al. 2023, arXiv:2211.09110, section 4).

Accuracy is in `course_lib.evaluation.metrics`. Here are the other six: calibration (does it know
when it is wrong?), robustness (does the answer survive a slip of the pen?), fairness (and another
dialect or name?), bias (whom does it speak of?), toxicity (how?), and efficiency (at what cost?).
"""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Counted": "bias",
        "answer_flops": "efficiency",
        "bins_of": "calibration",
        "calibrated_error": "calibration",
        "calibration_error": "calibration",
        "changed_case": "robustness",
        "count_words": "bias",
        "in_dialect": "fairness",
        "keeps_label": "robustness",
        "paraphrased": "robustness",
        "same_in_dialect": "fairness",
        "on_the_list": "toxicity",
        "signed": "fairness",
        "skew": "bias",
        "skew_by_chance": "bias",
        "toxicity_scores": "toxicity",
        "with_typos": "robustness",
        "worst_case": "robustness",
    },
)
