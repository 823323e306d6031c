"""Eight devices give the result of one: sharded jit, shard_map and pmap."""

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

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
    assert sum(map(len, results["differences"].values())) == 7
    for case, ways in results["differences"].items():
        for way, parts in ways.items():
            for part, difference in parts.items():
                assert difference < 1e-11, (case, way, part)
    assert sum(map(len, results["layers"].values())) == 16
    for layer, ways in results["layers"].items():
        assert max(ways.values()) < 1e-11, layer


def devices(*own):
    """Makes devices of several processes: so many of each."""
    return [
        mock.Mock(spec=jax.Device, process_index=process)
        for process, number in enumerate(own)
        for _ in range(number)
    ]


@pytest.mark.parametrize(
    ("batch", "there", "used"),
    [
        (256, [8], [8]),
        (20, [8], [5]),
        (4, [3], [2]),
        (7, [4], [1]),
        (3, [8], [3]),
        (8, [2, 2], [2, 2]),
        (6, [2, 2], [1, 1]),
        (12, [8, 8], [6, 6]),
        (8, [2, 4], [2, 2]),
    ],
)
def test_the_largest_number_of_devices_that_divides_the_batch_is_used(batch, there, used):
    every = devices(*there)
    found = sharding.devices_for(batch, every)
    processes = [device.process_index for device in found]
    assert [processes.count(i) for i in range(len(there))] == used
    assert found == [device for device in every if device in found]  # in order, each once


def test_a_batch_that_does_not_divide_among_processes_is_refused_with_sizes_that_do():
    for batch, advised in ((5, "4 or 6"), (1, "2")):
        with pytest.raises(InputError, match=rf"is {batch}, .* 2 processes: use {advised}$"):
            sharding.devices_for(batch, devices(4, 4))
        for size in map(int, advised.split(" or ")):
            assert sharding.devices_for(size, devices(4, 4))


def test_a_process_feeds_the_rows_of_its_devices_and_a_device_holds_its_part():
    split = mock.Mock(spec=jax.sharding.NamedSharding)
    rows = [(slice(None), slice(start, start + 4)) for start in (8, 12, 4)]
    split.addressable_devices_indices_map = lambda shape: dict(enumerate([*rows, None]))
    assert sharding.own_rows(split, 32) == slice(4, 16)
    part = mock.Mock(shard_shape=lambda shape: (shape[0] // 8, *shape[1:]))
    shapes = {d: jax.ShapeDtypeStruct((16, 3), jax.numpy.float32) for d in "ab"}
    assert sharding.bytes_per_device(shapes, dict.fromkeys(shapes, part)) == 2 * (2 * 3 * 4)


def test_idle_devices_are_named(monkeypatch):
    [one] = jax.devices()
    monkeypatch.setattr(jax, "devices", lambda: [one, *devices(7)])
    said = sharding.describe_devices(sharding.data_mesh([one]), 7)
    assert said.startswith("8 × cpu (cpu), 7 of them idle (")
    assert said.endswith("...): 1 is the largest number that divides the batch of 7")


def test_the_state_is_everywhere_and_the_batch_is_split():
    mesh = sharding.data_mesh(jax.devices()[:1])
    x = jax.device_put(jax.numpy.ones((3, 4, 2)), sharding.split_batches(mesh))
    assert x.sharding.spec == jax.sharding.PartitionSpec(None, "data")
    assert jax.device_put(x, sharding.replicated(mesh)).sharding.is_fully_replicated
