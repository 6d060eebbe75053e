"""The library behind the course: each folder is one step from text to evidence."""

__version__ = "0.1.0"
