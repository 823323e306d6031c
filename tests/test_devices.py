"""Eight devices give the result of one: sharded jit, shard_map and pmap."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from discogan_jax import sharding
from discogan_jax.errors import InputError

HERE = Path(__file__).parent


def test_every_way_to_use_eight_devices_makes_the_same_update():
    env = os.environ | {"PYTHONPATH": f"{HERE.parent}:{HERE}"}
    script = str(HERE / "many_devices.py")
    done = subprocess.run(
        [sys.executable, script], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results["restored wrongly"] == []
    assert results["taken over"] == {"split True": True, "split False": True}
    assert sum(map(len, results["differences"].values())) == 6
    for case, ways in results["differences"].items():
        for way, parts in ways.items():
            for part, difference in parts.items():
                assert difference < 1e-11, (case, way, part)
    assert sum(map(len, results["layers"].values())) == 16
    for layer, ways in results["layers"].items():
        assert max(ways.values()) < 1e-11, layer


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_sizes():
    sharding.check_batch_size(256, 8)
    with pytest.raises(InputError, match=r"batch_size is 20.* 8 devices: use 16 or 24"):
        sharding.check_batch_size(20, 8)
    with pytest.raises(InputError, match=r"8 devices: use 8$"):
        sharding.check_batch_size(3, 8)


def test_the_state_is_everywhere_and_the_batch_is_split():
    mesh = sharding.data_mesh(jax.devices()[:1])
    x = jax.device_put(jax.numpy.ones((3, 4, 2)), sharding.split_batches(mesh))
    assert x.sharding.spec == jax.sharding.PartitionSpec(None, "data")
    assert jax.device_put(x, sharding.replicated(mesh)).sharding.is_fully_replicated
