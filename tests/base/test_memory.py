"""Large blocks stay with the process: the system has to clear their pages once, not at every step."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
from striate.base.memory import keep_blocks
kept = keep_blocks() if sys.argv[1] == "kept" else False
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    np.ones(64 << 20, np.uint8)
before = faults()
for _ in range(10):
    np.ones(64 << 20, np.uint8)
print(kept, faults() - before)
"""


def told(how, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", CODE, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**clean, **environment})
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_pages_of_large_blocks_are_cleared_once():
    assert told("kept")[0]
    assert told("kept")[1] < 0.1 * told("given back")[1]


def test_settings_of_the_environment_are_left_alone():
    assert not told("kept", MALLOC_ARENA_MAX="2")[0]
