"""One network written three ways on four devices: in the caller's ``shard_map``, and under a sharded ``jit``."""

import functools
import itertools
import json
import os
import subprocess
import sys

import pytest

from tests.models.three_ways import WAYS


@functools.cache
def errors():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.interception.on_devices"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return {tuple(case): found for case, found in map(json.loads, run.stdout.splitlines())}


CASES = list(itertools.product(WAYS, ["shard_map", "sharded jit"], ["trunk", "trunk+late"], ["one", "many"]))


@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_they_agree(case):
    found = errors()[case]
    assert set(found) == {*case[2].split("+"), "guided"}
    assert max(found.values()) <= 1e-6, found


def test_all_cases_ran():
    assert set(errors()) == set(CASES)
