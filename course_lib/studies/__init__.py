"""The recorded experiments of the notebooks: which recipes, how many seeds, what is measured.

`make runs` makes those that are missing. A notebook takes its live recipe from here too, with a
seed of its own, so the reader's run is one more of the recorded kind. A module a notebook.
"""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "BASES": "catalogue",
        "LIVE_SEED": "design",
        "STUDIES": "catalogue",
        "Study": "records",
        "live": "design",
        "load_records": "records",
        "base_is_stale": "base_models",
        "make_base": "base_models",
        "record": "records",
        "stale": "records",
        "verify": "verification",
        "verify_base": "base_models",
    },
)
