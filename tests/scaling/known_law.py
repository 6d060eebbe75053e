"""A law much like Chinchilla's, from which tests draw runs."""

from course_lib.scaling import Law

LAW = Law(480.0, 2100.0, 1.82, 0.35, 0.37)
