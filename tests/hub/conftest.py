"""A hub on loopback for the tests of this folder, and processes that know no other."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contents import fill
from isolation import isolated
from loopback import LoopbackHub

Client = Callable[..., Any]


@pytest.fixture(scope="session")
def hub() -> LoopbackHub:
    hub = LoopbackHub()
    fill(hub)
    return hub


@pytest.fixture
def endpoint(hub: LoopbackHub) -> Iterator[str]:
    """The address at which the hub is served during one test; its log begins empty."""
    hub.requests.clear()
    with hub.serve() as address:
        yield address


@pytest.fixture
def client(endpoint: str, tmp_path: Path) -> Client:
    """`client(code)` runs code in a process of its own and returns what it assigned to `result`.

    `endpoint=...` sends it elsewhere, `patient=False` lets it retry without waiting; other keyword
    arguments are environment variables.
    """

    def run(code: str, endpoint: str = endpoint, patient: bool = True, **variables: str) -> Any:
        hasty = "" if patient else "import time; time.sleep = lambda seconds: None\n"
        program = f"{hasty}{textwrap.dedent(code)}\nimport json; print(json.dumps(result))"
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env=isolated(endpoint, tmp_path) | variables,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) | {"stderr": done.stderr}

    return run
