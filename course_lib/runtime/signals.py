"""Ctrl-C and SIGTERM, held until a step is finished, so that no checkpoint holds half an update."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

REPEATED = 2.0  # seconds: within them a launcher and a terminal both pass on the same Ctrl-C


@dataclass
class StopRequest:
    """What a signal has asked for: nothing yet, or the number of the signal."""

    number: int | None = None
    at: float = 0.0

    @property
    def pending(self) -> bool:
        """Whether somebody has asked to stop."""
        return self.number is not None

    def interrupt(self, message: str) -> "Stopped":
        """What to raise once the step is finished.

        Where another process was asked and this one was not, it is as with Ctrl-C.
        """
        return Stopped(message, self.number or signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """Stopped by a signal, once the step was finished and saved; `number` is the signal's."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Within, the first Ctrl-C or SIGTERM is only noted; a later one interrupts at once.

    Outside the main thread signals cannot be caught, and Python's own handling stays.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: Any) -> None:
        now = time.monotonic()
        if request.pending and now - request.at > REPEATED:
            raise KeyboardInterrupt
        if not request.pending:
            request.number, request.at = number, now

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, note) for kind in kinds}
    try:
        yield request
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
    if request.pending:  # it came after the last look: whoever had the signal before gets it now
        signal.raise_signal(request.number)
