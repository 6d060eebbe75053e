"""What training costs: FLOPs, units, hardware, memory, money. Arithmetic on documented facts."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Accelerator": "hardware",
        "Bill": "bills",
        "Memory": "memory",
        "PETAFLOPS_DAY": "units",
        "PublishedModel": "literature",
        "Range": "bills",
        "Row": "rows",
        "Shape": "shapes",
        "accelerators": "hardware",
        "affordable_flops": "bills",
        "forward_flops": "flops",
        "forward_parts": "flops",
        "from_petaflops_days": "units",
        "generation_flops": "flops",
        "published_models": "literature",
        "recipe_flops": "flops",
        "recipe_shape": "flops",
        "row_of": "rows",
        "six_nd": "flops",
        "step_flops": "flops",
        "to_petaflops_days": "units",
        "training_bill": "bills",
        "training_flops": "flops",
        "training_memory": "memory",
        "utilisation": "hardware",
    },
)
