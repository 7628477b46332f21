"""The check on a GPU says where there is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "tools" / "gpu_check.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so():
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"gpu": None, "note": "no GPU here: nothing was measured"}


@pytest.mark.slow
def test_every_step_of_it_works():
    done = subprocess.run([sys.executable, str(SCRIPT), "--rehearse"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cases"][0]["images_per_s"] > 0
