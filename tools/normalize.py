"""Make the JSON of an executed notebook the same, byte for byte, each time it is executed.

What differs from one execution to the next without meaning anything is removed (timings, versions
of the kernel) or renumbered in order of appearance (the random ids of widgets).
"""

import json
import re

import nbformat
from nbformat import NotebookNode

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}
KEPT_NOTEBOOK_METADATA = ("accelerator", "colab", "widgets")
KEPT_CELL_METADATA = ("cellView", "editable", "jupyter", "tags")
UUID4 = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")


def clear(notebook: NotebookNode) -> NotebookNode:
    """Remove every result of an earlier execution, in place."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def normalize(notebook: NotebookNode) -> str:
    """The text of the notebook's file: keys sorted, one newline at the end. Changes `notebook`."""
    _keep_metadata(notebook)
    _number_executions(notebook)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=1):
        cell.setdefault("id", f"cell-{number:02}")
    return nbformat.writes(_renumber_ids(notebook)).rstrip("\n") + "\n"


def _keep_metadata(notebook: NotebookNode) -> None:
    kept = {
        key: notebook.metadata[key] for key in KEPT_NOTEBOOK_METADATA if key in notebook.metadata
    }
    if not kept.get("widgets", {}).get(WIDGET_STATE, {}).get("state"):
        kept.pop("widgets", None)
    notebook.metadata = NotebookNode(kept, kernelspec=KERNELSPEC, language_info=LANGUAGE)
    for cell in notebook.cells:
        cell.metadata = NotebookNode(
            {key: value for key, value in cell.metadata.items() if key in KEPT_CELL_METADATA}
        )


def _number_executions(notebook: NotebookNode) -> None:
    executed = (cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip())
    for count, cell in enumerate(executed, start=1):
        cell.execution_count = count
        for output in cell.outputs:
            output.pop("transient", None)
            if output.output_type == "execute_result":
                output.execution_count = count


def _renumber_ids(notebook: NotebookNode) -> NotebookNode:
    """Replace random ids by numbers, in the order in which they were made.

    The state lists widget models in the order in which the kernel opened them, which the code
    fixes; sorted by their random ids that order would be lost, so the numbers come first.
    """
    text = json.dumps(notebook)
    widgets = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    shown = [
        output.data[WIDGET_VIEW]["model_id"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if WIDGET_VIEW in output.get("data", {})
    ]
    ids = dict.fromkeys([*widgets, *shown, *UUID4.findall(text)])
    for number, old in enumerate(ids):
        new = f"{number:032x}"
        if "-" in old:
            new = "-".join((new[:8], new[8:12], new[12:16], new[16:20], new[20:]))
        text = text.replace(old, new)
    return nbformat.from_dict(json.loads(text))
