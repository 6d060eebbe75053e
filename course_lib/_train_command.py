"""`python -m course_lib train`: a recipe from a file, what it will take, what is told of it."""

import argparse
import csv
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.runtime.errors import CourseError

if TYPE_CHECKING:
    from course_lib.training import Recipe

HELP = "train a recipe, or go on with it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("recipe", type=Path, help="a TOML file, see data/recipes/")
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="change a field of the recipe, for example --set seed=3 (repeatable)",
    )
    parser.add_argument("--folder", type=Path, help="where to save the run (default: the cache)")
    parser.add_argument(
        "--fit",
        action="store_true",
        help="set micro_batches so that a step fits into the memory of the device, by an estimate",
    )
    parser.add_argument(
        "--log",
        choices=["tensorboard"],
        help="keep RUN-log.csv as events of TensorBoard too, in RUN-tensorboard",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what it will take and train nothing",
    )
    parser.add_argument("--on", default="H100 SXM", help="for --dry-run: data/accelerators.csv")
    parser.add_argument("--devices", type=int, default=1, help="for --dry-run: how many of them")
    parser.add_argument("--hour-price", type=float, help="for --dry-run: of one device")


def run(options: argparse.Namespace) -> int:
    """Train, or say what it would take; returns the exit status."""
    from course_lib.runtime.processes import is_main
    from course_lib.training import Recipe, train
    from course_lib.training.run_recipe import run_folder

    recipe = Recipe.load(options.recipe)
    recipe = recipe.replace(**dict(_assignment(text) for text in options.set))
    if options.dry_run:
        print(_plan(recipe, options))
        return 0
    if options.fit:
        recipe = _fitted(recipe)
    place = options.folder or run_folder(recipe)
    mirror = TensorBoard(place) if options.log and is_main() else None

    def tell(entry: dict[str, float]) -> None:
        _print_entry(entry)
        if mirror:
            mirror.catch_up()

    trained = train(recipe, folder=options.folder, callback=tell)
    if mirror:
        mirror.catch_up()
    if is_main():
        print(f"validation loss {trained.validation_loss:.4f} nats per target")
        print(f"saved in {place}")
    return 0


def with_rows_that_fit(recipe: "Recipe", memory: float, devices: int, *, mixed: bool) -> "Recipe":
    """The recipe with as many micro-batches as its step needs to fit into `memory` bytes a device.

    What goes through at a time is the largest power of two of rows whose estimate is within nine
    tenths of the memory (`course_lib.training.fitting`); the batch of a step stays what it is.

    Raises:
        CourseError: not even one row fits; the batch does not divide among the devices; the
            recipe starts from a trained model, whose shape it does not say.
    """
    from course_lib.compute import row_of
    from course_lib.training.fitting import GB, MOST, memory_needed
    from course_lib.training.plan import CORRUPTING, fresh_shape

    shape, settings, length = fresh_shape(recipe), recipe.optimization, recipe.data.length
    share, left = divmod(settings.batch, devices) if devices > 0 else (0, 1)
    if left:
        raise CourseError(
            f"A batch of {settings.batch} rows does not divide into {devices} processes: "
            "change batch or devices."
        )
    objective = recipe.objective_name if recipe.objective_name in CORRUPTING else "causal"
    row = row_of(objective, length, recipe.objective.rate, settings.batch)

    def need(rows: int) -> float:
        return memory_needed(shape, row, rows, settings, mixed=mixed, shards=devices).total

    rows = 1
    if need(rows) > MOST * memory:
        raise CourseError(
            f"Not even one row of {length:,} tokens fits: it needs at least "
            f"{need(rows) / GB:.1f} GB, and a device has {memory / GB:.1f}: set chunked_loss, "
            "activation_checkpointing or, with several processes, sharded; or make rows shorter."
        )
    while share % (2 * rows) == 0 and need(2 * rows) <= MOST * memory:
        rows *= 2
    return recipe.replace(micro_batches=share // rows)


class TensorBoard:
    """Tells TensorBoard what the table beside a run says, a line at a time.

    A run that goes on tells all of its table again, in the place of what it told before.
    """

    def __init__(self, place: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise CourseError(
                "--log tensorboard needs the package of that name: pip install tensorboard; or "
                "leave it out, the table RUN-log.csv is written in any case."
            ) from error
        place = place.expanduser().resolve()
        self.table, self.read = place.with_name(f"{place.name}-log.csv"), 0
        self.writer = SummaryWriter(str(place.with_name(f"{place.name}-tensorboard")), purge_step=0)

    def catch_up(self) -> None:
        """Tell what has been written into the table since the last time."""
        if not self.table.is_file():
            return
        with self.table.open(encoding="utf-8", newline="") as file:
            columns = file.readline().strip().split(",")
            file.seek(max(self.read, file.tell()))
            lines = file.readlines()
            self.read = file.tell()
        for line in csv.DictReader(lines, columns):
            step = int(line.pop("step"))
            for name, value in line.items():
                if value:
                    self.writer.add_scalar(name, float(value), step)
        self.writer.flush()


def _fitted(recipe: "Recipe") -> "Recipe":
    """The same for the device at hand; says what it has chosen."""
    from course_lib.runtime import choose_device, choose_precision, processes
    from course_lib.runtime.device import HALF
    from course_lib.training.fitting import device_memory

    device, count = choose_device(), processes.world_size()
    mixed = choose_precision(device, recipe.optimization.precision) in HALF
    recipe = with_rows_that_fit(recipe, device_memory(device), count, mixed=mixed)
    if processes.is_main():
        print(_chosen(recipe, count))
    return recipe


def _chosen(recipe: "Recipe", devices: int) -> str:
    parts = recipe.optimization.micro_batches
    rows = recipe.optimization.batch // parts // devices
    return f"fitted: micro_batches = {parts}, {rows} rows at a time on each device"


def _plan(recipe: "Recipe", options: argparse.Namespace) -> str:
    from course_lib.compute import accelerators
    from course_lib.training.plan import plan

    if options.on not in accelerators():
        raise CourseError(f"--on {options.on}: choose one of {', '.join(accelerators())}.")
    accelerator = accelerators()[options.on]
    chosen = ""
    if options.fit:
        mixed = recipe.optimization.precision not in ("no", "tf32")
        recipe = with_rows_that_fit(recipe, accelerator.memory, options.devices, mixed=mixed)
        chosen = f"{_chosen(recipe, options.devices)}\n"
    return chosen + plan(recipe, accelerator, options.devices, options.hour_price)


def _assignment(text: str) -> tuple[str, object]:
    field, equals, value = text.partition("=")
    if not equals:
        raise CourseError(f"--set {text}: write FIELD=VALUE.")
    return field, as_value(value)


def as_value(text: str) -> Any:
    """A word of the command line as TOML has it; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _print_entry(entry: dict[str, float]) -> None:
    print(f"step {entry['step']:>7}  loss {entry['loss']:.4f}  lr {entry['learning_rate']:.2e}")
