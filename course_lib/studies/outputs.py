"""Texts that models wrote, kept as data: a metric is tried on them in no time.

`data/outputs/NAME.jsonl` holds a line for each thing that the system NAME was asked for, and
`python -m course_lib.studies.metrics` makes what is missing.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from course_lib.runtime import data_path, describe_machine
from course_lib.runtime.errors import CourseError
from course_lib.training.run import code_digest


@dataclass(frozen=True)
class Output:
    """What one system wrote for the items of a task, in the items' order.

    Attributes:
        system: the model, such as "bart-world".
        task: which items, and what was asked of the model.
        texts: one for each item.
        seed: of the training, where there was one.
        steps: so many steps of tuning went before.
        info: what the texts depend on besides: versions, device, code.
    """

    system: str
    task: str
    texts: list[str]
    seed: int = 0
    steps: int = 0
    info: dict[str, Any] | None = None


def load_outputs(system: str, task: str, **where: int) -> list[Output]:
    """What a system wrote for a task, by seed and then by steps; `where` picks by those.

    Raises:
        CourseError: nothing on record.
    """
    found = [
        output
        for output in _read(system)
        if output.task == task
        and all(getattr(output, field) == value for field, value in where.items())
    ]
    if not found:
        raise CourseError(
            f"{system} has nothing on record for {task} with {where}: make it with "
            "`python -m course_lib.studies.metrics`."
        )
    return sorted(found, key=lambda output: (output.seed, output.steps))


def keep_outputs(outputs: Iterable[Output]) -> None:
    """Add outputs to their systems' files, in the place of earlier ones of the same name."""
    for output in outputs:
        made_with = describe_machine() | {"code": code_digest()}
        output = Output(**asdict(output) | {"info": made_with})
        name = (output.task, output.seed, output.steps)
        kept = {(o.task, o.seed, o.steps): o for o in _read(output.system)} | {name: output}
        path = data_path("outputs", f"{output.system}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(asdict(kept[name]), ensure_ascii=False) for name in sorted(kept)]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _read(system: str) -> list[Output]:
    path = data_path("outputs", f"{system}.jsonl")
    if not path.is_file():
        return []
    return [Output(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
