"""The command line: train a recipe, evaluate a model, make what is on record, run a notebook.

For more than one device or machine: `torchrun --nproc_per_node 2 -m course_lib train RECIPE.toml`.
"""

import argparse
import signal
import sys
from collections import Counter
from pathlib import Path

from course_lib import _train_command as train
from course_lib.evaluation.benchmarks import command as evaluate
from course_lib.evaluation.contamination import command as contamination
from course_lib.runtime.errors import CourseError


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m course_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    train.add_arguments(commands.add_parser("train", help=train.HELP))
    _runs_arguments(
        commands.add_parser("runs", help="make recorded runs and base models that are stale")
    )
    _notebook_arguments(commands.add_parser("notebook", help="run a notebook with other settings"))
    _setup_arguments(commands.add_parser("setup", help="fetch the real models and rated sentences"))
    contamination.add_arguments(commands.add_parser("contamination", help=contamination.HELP))
    evaluate.add_arguments(commands.add_parser("evaluate", help=evaluate.HELP))

    options = parser.parse_args(arguments)
    command = {
        "train": train.run,
        "runs": _runs,
        "notebook": _notebook,
        "setup": _setup,
        "contamination": contamination.run,
        "evaluate": evaluate.run,
    }
    try:
        return command[options.command](options)
    except CourseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)
        return 128 + getattr(stop, "number", signal.SIGINT)


def _runs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("studies", nargs="*", help="which studies (default: all, then bases)")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what is stale and why, and make nothing"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="make a run of each stale recipe and each stale base again; what comes out is current",
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")


def _notebook_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="its name or number, such as 06")
    parser.add_argument("--budget", help="smoke, cpu or gpu (default: what suits the machine)")
    parser.add_argument("--track", help="offline or hub (default: offline)")
    parser.add_argument(
        "-p",
        nargs=2,
        metavar=("NAME", "VALUE"),
        action="append",
        default=[],
        help="set a parameter of the notebook, for example -p seed 3 (repeatable)",
    )
    parser.add_argument("--out", type=Path, help="the executed copy (default: executed/NAME)")


def _setup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="which of them (default: all)")


def _notebook(options: argparse.Namespace) -> int:
    from course_lib.runtime.notebooks import run_notebook

    parameters = {name: train.as_value(value) for name, value in options.p}
    named = {"budget": options.budget, "track": options.track}
    parameters |= {name: value for name, value in named.items() if value is not None}
    print(f"executed copy in {run_notebook(options.name, parameters, options.out)}")
    return 0


def _setup(options: argparse.Namespace) -> int:
    from course_lib.models import setup

    return setup.main(options.names)


def _runs(options: argparse.Namespace) -> int:
    from course_lib.studies import BASES, STUDIES, make_base, record, verify, verify_base

    if unknown := set(options.studies) - set(STUDIES):
        raise CourseError(
            f"No study {', '.join(sorted(unknown))}: the studies are {', '.join(STUDIES)}."
        )
    names = options.studies or list(STUDIES)
    bases = {} if options.studies else BASES
    due = _say_what_is_stale(names, bases)
    if options.dry_run:
        return 0
    for name in (name for name in names if name in due):
        if options.verify:
            verify(STUDIES[name], jobs=options.jobs)
        else:
            record(STUDIES[name], jobs=options.jobs)
    for name in (name for name in bases if name in due):
        (verify_base if options.verify else make_base)(name, BASES[name])
    if due:
        _say_what_is_stale(names, bases)
    return 0


def _say_what_is_stale(studies: list[str], bases: dict) -> set[str]:
    """One line for each study and base model; returns the names of those that are due."""
    from course_lib.studies import STUDIES, base_is_stale, stale

    due = set()
    for name in studies:
        reasons = Counter(stale(STUDIES[name]).values())
        said = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
        print(f"{name}: {said or 'current'}", flush=True)
        due |= {name} if reasons else set()
    for name, recipe in bases.items():
        reason = base_is_stale(name, recipe)
        print(f"base {name}: {reason or 'current'}", flush=True)
        due |= {name} if reason else set()
    return due


if __name__ == "__main__":
    sys.exit(main())
