"""What every step runs on: device, precision, threads, seeds, budgets, paths, progress bars."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Budget": "budget",
        "CourseError": "errors",
        "cache_path": "paths",
        "choose_device": "device",
        "choose_precision": "device",
        "data_path": "paths",
        "describe_machine": "device",
        "generator": "seeds",
        "load_budget": "budget",
        "progress": "progress_bar",
        "quiet": "progress_bar",
        "seed_everything": "seeds",
        "seed_of": "seeds",
        "set_threads": "device",
    },
)
