"""The seven model families of the course: tiny ones to train, published ones to count."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "FAMILIES": "families",
        "Family": "families",
        "PublishedSize": "published",
        "build": "families",
        "count_parameters": "published",
        "count_targets": "likelihood",
        "loss_sum": "likelihood",
        "published_sizes": "published",
        "size_table": "published",
        "summed_loss": "likelihood",
        "target_losses": "likelihood",
        "unfuse_attention": "families",
    },
)
