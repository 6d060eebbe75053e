"""The seven model families of the course: tiny ones to train, published ones to count."""

from course_lib._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "FAMILIES": "families",
        "Family": "families",
        "Published": "pinned",
        "PublishedSize": "published",
        "build": "architecture",
        "build_published": "architecture",
        "context_length": "inspection",
        "count_parameters": "published",
        "evaluation_mode": "inspection",
        "published_model": "pinned",
        "published_sizes": "published",
        "require_kind": "inspection",
        "require_trainable": "families",
        "size_table": "published",
        "unfuse_attention": "architecture",
    },
)
