"""Guards approach 3: scipy's optimum or better, the invariances of the law, its intervals, its errors.

Two planted bugs must be caught: the average in the place of the sum under a stopping rule that is
not scaled with it, and a minimiser that stops early.

    pytest tests/scaling/test_parametric.py
"""

import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_huber import averaged_fit

from course_lib.scaling import Law, fit_parametric, optimal, published_grid, published_laws
from course_lib.scaling.huber import LogRuns, gradient, objective
from course_lib.scaling.parametric import NAMES
