"""Efficiency: what does an answer cost?

Seconds depend on the machine and on who else is using it; HELM corrects for that with estimates of
its own (Liang et al. 2023, section 4.9). Operations and bytes do not.
"""

from course_lib.runtime.checks import Count, NotNegative, checked

FORWARD = 2  # operations a weight and token: a multiplication and an addition


@checked
def answer_flops(weights: Count, tokens: NotNegative) -> float:
    """Operations to read or write so many tokens with so many weights: 2ND (Kaplan et al. 2020).

    Weights are those that each token is multiplied with, so without a table of tokens that is only
    looked up. Attention between positions is left out: for short texts it is little.
    """
    return FORWARD * weights * tokens
