"""Scaling laws: the three Chinchilla approaches, their optimum, ladders of runs, a simulator."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "FloorFit": "floors",
        "FrontierFit": "frontier",
        "Law": "law",
        "Optimum": "law",
        "ParametricFit": "parametric",
        "PublishedLaw": "chinchilla",
        "Runs": "simulation",
        "TrainingCurve": "simulation",
        "WeakDesignWarning": "identifiability",
        "fit_envelope": "frontier",
        "fit_floor": "floors",
        "fit_isoflop": "frontier",
        "fit_parametric": "parametric",
        "isoflop_design": "simulation",
        "ladder": "ladders",
        "ladder_table": "ladders",
        "load_chinchilla_points": "chinchilla",
        "optimal": "law",
        "published_grid": "parametric",
        "published_laws": "chinchilla",
        "random_law": "simulation",
        "simulate_curves": "simulation",
        "simulate_runs": "simulation",
    },
)
