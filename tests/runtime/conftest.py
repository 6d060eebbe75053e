"""A folder that belongs to somebody else, for the tests of this room."""

from closed import closed_folder

__all__ = ["closed_folder"]
