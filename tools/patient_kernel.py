"""A kernel client that cannot miss a reply.

nbclient answers an output widget on the same socket on which it waits for the reply to a cell.
ZeroMQ's signal that something has come is given once, and sending can swallow it; a wait without
end then never ends, although the reply is there (about one notebook in thirty with `interact`).
This client looks again each second.
"""

from queue import Empty
from time import monotonic
from typing import Any

from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.channels import AsyncZMQSocketChannel


class PatientChannel(AsyncZMQSocketChannel):
    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:
        """The next message; raises `Empty` when none comes within `timeout` seconds."""
        end = monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            try:
                return await super().get_msg(timeout=max(0.0, min(1.0, end - monotonic())))
            except Empty:
                if monotonic() >= end:
                    raise


class PatientClient(AsyncKernelClient):
    shell_channel_class = PatientChannel


class PatientKernelManager(AsyncKernelManager):
    client_factory = PatientClient
