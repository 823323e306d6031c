"""The examples of docs/scaling.md run as shown; collectives are counted correctly."""

import os
import subprocess
import sys

import pages
import pytest

from benchmarks import collectives
from benchmarks.collectives import Network, Traffic


@pytest.mark.long
def test_the_examples_of_the_page_run_on_eight_devices():
    program = pages.python("docs/scaling.md")
    assert program.count("check(") == 6  # its definition, and one of every way
    env = os.environ | {"PYTHONPATH": str(pages.ROOT)}
    env["XLA_FLAGS"] += " --xla_force_host_platform_device_count=8"
    ended = "\nassert jax.device_count() == 8\nprint('ended')"
    done = subprocess.run(
        [sys.executable, "-c", program + ended],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bytes of state on each device" in done.stdout
    assert done.stdout.endswith("ended\n")


PROGRAM = """
  %all-reduce.5 = f32[64,3,4,4]{3,2,1,0} all-reduce(%x), channel_id=1, replica_groups={{0,1}}
  %all-reduce.6 = (bf16[8]{0}, f32[]) all-reduce(%y, %z), channel_id=2, to_apply=%add
  %g = (f32[2,4]{1,0}, f32[16,4]{1,0}) all-gather-start(%w), dimensions={0}
  %h = f32[16,4]{1,0} all-gather-done(%g)
  %element = f32[] get-tuple-element(%all-reduce.6), index=1
  %fusion = f32[64]{0} fusion(%all-reduce.5), kind=kLoop
"""


def test_collectives_are_counted_once_by_their_results():
    assert collectives.traffic(PROGRAM) == {
        "all-reduce": Traffic(2, 4 * 64 * 3 * 16 + 2 * 8 + 4),
        "all-gather": Traffic(1, 4 * 16 * 4),
    }


def test_the_projection_follows_its_formula():
    found = {"all-reduce": Traffic(2, 800), "all-gather": Traffic(1, 80)}
    assert collectives.sent(found, 8) == 2 * 7 / 8 * 800 + 7 / 8 * 80
    network = Network(devices=8, bandwidth=1470.0, latency=0.5)
    assert collectives.seconds(found, network) == 1.0 + 1.5
    second = collectives.SHARE_OF_PEAK * collectives.PEAK_FLOPS
    assert collectives.efficiency(found, network, 7.5 * second) == pytest.approx(0.75)
