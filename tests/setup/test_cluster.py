"""Guards the files for several machines: both start `torchrun` on each with the course's command.

pytest tests/setup/test_cluster.py
"""

import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "tools" / "cluster"
RECIPE = "data/recipes/gpt3-1.3b.toml"


def started(script, folder, **variables):
    """What `torchrun` is called with by a script, in the folder that holds a false one."""
    for name in (".venv/bin/torchrun", "bin/srun", "bin/scontrol"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        does = {"torchrun": 'echo "$@"', "srun": '"$@"', "scontrol": "printf 'one\\ntwo\\n'"}
        file.write_text(f"#!/bin/sh\n{does[file.name]}\n", encoding="utf-8")
        file.chmod(0o755)
    search = f"{folder / 'bin'}:{os.environ['PATH']}"
    found = subprocess.run(
        ["bash", "-c", script, "script", RECIPE, "--set", "steps=5"],
        cwd=folder,
        env=os.environ | {"PATH": search} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_slurm_starts_every_machine_with_one_meeting_point(tmp_path):
    script = (FOLDER / "train.slurm").read_text(encoding="utf-8")
    variables = {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}
    words = started(script, tmp_path, **variables, SLURM_GPUS_ON_NODE="4")
    pairs = dict(pairwise(words))
    assert pairs["--nnodes"] == "2"
    assert pairs["--nproc_per_node"] == "4"
    assert pairs["--rdzv_endpoint"] == "one:29500"
    assert words[-6:] == ["-m", "course_lib", "train", RECIPE, "--set", "steps=5"]


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_skypilot_starts_every_machine_with_its_number(tmp_path):
    task = yaml.safe_load((FOLDER / "train.sky.yaml").read_text(encoding="utf-8"))
    variables = {"SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2", "SKYPILOT_NUM_NODES": "2"}
    variables |= {"SKYPILOT_NODE_RANK": "1", "SKYPILOT_NUM_GPUS_PER_NODE": "8"}
    words = started(task["run"], tmp_path, **variables, **task["envs"])
    pairs = dict(pairwise(words))
    assert (pairs["--nnodes"], pairs["--node_rank"], pairs["--nproc_per_node"]) == ("2", "1", "8")
    assert pairs["--master_addr"] == "10.0.0.1"
    assert words[-6:-2] == ["-m", "course_lib", "train", task["envs"]["RECIPE"]]
    assert "requirements.lock" in task["setup"]
