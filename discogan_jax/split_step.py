"""A training cycle for a state that is split over devices.

Networks compute with whole parameters, which are gathered at the beginning of a cycle; optimizers
and averages work on the parts that each device has (ZeRO; Rajbhandari et al. 2020, arXiv
1910.02054), and of what they find the devices tell each other. Left to itself, XLA would split the
convolutions by channels, too, and send activations around, which are far larger.
"""

from dataclasses import replace
from typing import Any

import jax
import optax
from jax import lax

from discogan_jax.sharding import replicated
from discogan_jax.state import DiscoGAN, TrainState
from discogan_jax.steps import Metrics, train_step


def train_step_jit(shardings: TrainState) -> Any:
    """`steps.train_step_jit` for a state that lies as these shardings say, and stays so.

    Args:
      shardings: a tree of shardings, from `sharding.of_state`.
    """
    everywhere = replicated(jax.tree.leaves(shardings)[0].mesh)

    def whole(tree: Any) -> Any:
        return lax.with_sharding_constraint(tree, everywhere)

    def telling(tx: optax.GradientTransformation) -> optax.GradientTransformation:
        def update(grads: Any, *rest: Any) -> tuple[Any, Any]:
            updates, opt_state = tx.update(whole(grads), *rest)
            return whole(updates), opt_state

        return optax.GradientTransformation(tx.init, update)

    def step(gan: DiscoGAN, state: TrainState, batches: Any) -> tuple[TrainState, Metrics]:
        gan = replace(gan, gen_tx=telling(gan.gen_tx), dis_tx=telling(gan.dis_tx))
        gen, dis = (
            replace(p, params=whole(p.params), batch_stats=whole(p.batch_stats))
            for p in (state.gen, state.dis)
        )
        return train_step(gan, replace(state, gen=gen, dis=dis), batches)

    return jax.jit(step, static_argnums=0, donate_argnums=1, out_shardings=(shardings, None))
