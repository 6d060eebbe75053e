"""The one kind of error that is meant for the reader rather than the programmer."""


class CourseError(Exception):
    """Something the reader can mend; the message is one line that says how."""
