"""The examples of docs/scaling.md run as shown; collectives are counted correctly."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from unittest import mock

import jax
import numpy as np
import pages
import pytest
import tiny
from jax import lax
from jax.sharding import PartitionSpec as P

from benchmarks import collectives, scaling, train_step
from benchmarks.collectives import Network, Traffic
from discogan_jax import sharding
from discogan_jax.ops import reductions
from discogan_jax.state import create_state


@pytest.mark.long
def test_the_examples_of_the_page_run_on_eight_devices():
    program = pages.python("docs/scaling.md")
    assert program.count("check(") == 7  # its definition, and one of every way
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
    one = Network(devices=8, hosts=1, inside=1470.0, between=1.0, latency=0.5)
    assert collectives.seconds(found, one) == 1.0 + 1.5
    many = replace(one, hosts=2, between=15.0)
    sent = {n: 2 * (n - 1) / n * 800 + (n - 1) / n * 80 for n in (2, 16)}
    assert collectives.seconds(found, many) == pytest.approx(sent[16] / 15 + 1.5)
    first = collectives.seconds(found, many, hosts_first=True)
    assert first == pytest.approx(1.0 + sent[2] / 8 / 15 + 1.5)
    report = {
        "flops": 7.5 * collectives.SHARE_OF_PEAK * collectives.PEAK_FLOPS,
        "programs": {"replicated": {"all-reduce": {"calls": 2, "size": 1000}}},
        "gradients": {"gen": 300, "dis": 200},
    }
    p = scaling.projected(report, one, overlapped=True, bfloat16=True)
    assert p.communicating == pytest.approx(0.5 + 2 * 7 / 8 * (800 - 300) / 1470)
    assert p.efficiency == pytest.approx(7.5 / (7.5 + p.communicating))


def all_reduces(recipe, **weights):
    """Counts the all-reduces of a cycle, its longest chain, and bytes besides the gradients."""
    gan = train_step.library(recipe, tiny.SIZE, 4)
    gan = replace(gan, weights=replace(gan.weights, **weights))
    mesh = sharding.data_mesh(jax.devices()[:1])
    shapes = jax.eval_shape(
        partial(create_state, gan=gan, image_shape=(16, 16, 3)), jax.random.key(0)
    )
    batches = sharding.batch_shapes(mesh, gan, 2, (16, 16, 3))
    lowered = sharding.mapped_train_step(mesh).lower(gan, shapes, batches)
    [(kind, found)] = collectives.traffic(lowered.compiler_ir("hlo").as_hlo_text()).items()
    assert kind == "all-reduce"
    with mock.patch.object(reductions, "combined", lambda f, _: f):
        alone = sharding.mapped_train_step(mesh).trace(gan, shapes, batches).jaxpr
    sizes = (sum(4 * x.size for x in jax.tree.leaves(p.params)) for p in (shapes.gen, shapes.dis))
    gen, dis = sizes
    return found.calls, collectives.chain(alone)[1], found.size / (2 * gen + dis)


def test_networks_without_batch_norm_sum_little_more_than_their_gradients():
    calls, chain, size = all_reduces("best", feature=0.0)
    assert calls == chain < 20
    assert 1 <= size < 1.05


def test_batch_norm_sums_no_more_often_than_its_statistics_depend_on_one_another():
    calls, chain, size = all_reduces("official")
    assert 30 < chain <= calls <= 1.2 * chain
    assert size > 1


def test_chains_are_counted_through_compiled_functions():
    def twice(x):
        total = jax.jit(lambda x: lax.psum(x, "i") * 2)(x)
        return lax.psum(total, "i"), lax.psum(x, "i"), x

    mesh = jax.make_mesh((1,), ("i",))
    mapped = jax.shard_map(twice, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
    ends, longest = collectives.chain(jax.make_jaxpr(mapped)(np.ones(3)))
    assert (ends, longest) == ([2, 1, 0], 2)
