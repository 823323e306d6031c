"""What the settings of a run determine before its first step: networks, images, devices, step."""

from collections.abc import Iterator
from types import MappingProxyType

import jax
import jax.numpy as jnp
from absl import logging

from discogan_jax import multihost, sharding, steps
from discogan_jax.config import build
from discogan_jax.config.schema import Settings
from discogan_jax.data import feed
from discogan_jax.data.cache import Splits
from discogan_jax.state import TrainState, create_state


class Setup:
    """Everything that a run needs, and that does not change while it trains.

    `loop.train_and_evaluate` and `dry_run.describe` share it, so a dry run compiles the very step
    that is trained with. No state is allocated.

    Attributes:
      settings: the settings of the run.
      mesh: the devices that are used; others are idle if their number does not divide the batch.
      on_cpu: whether these are CPUs.
      gan: the networks, optimizers and losses.
      images_per_step: number of real images of both domains that a step sees.
      shapes: shapes and types of the state.
      shardings: the devices of each array of the state.
      images: images of both domains.
      held_out: those that are not trained on.
      train_images: those that are trained on, by domain; larger if they are cut at random places.
      order: the order of the training images.
      train_step: `steps.train_step`, compiled for these shardings.
    """

    def __init__(self, settings: Settings, known: build.Known = MappingProxyType({})):
        """Builds the networks and opens the images.

        Args:
          settings: the settings of the run.
          known: what a run that is resumed has fixed about its images, from `runs.pictures`.

        Raises:
          InputError: the images cannot be used, or the batch size does not suit them or the
            processes.
        """
        s = self.settings = settings
        self.mesh = sharding.data_mesh(sharding.devices_for(s.data.batch_size))
        self.on_cpu = self.mesh.devices.flat[0].platform == "cpu"
        self.gan = build.gan(s)
        self.images_per_step = 2 * s.data.batch_size * self.gan.updates
        self.shapes = build.state_shapes(s, self.gan)
        self.shardings = sharding.of_state(self.mesh, self.shapes, s.train.shard_state)
        self._batch_sharding = sharding.split_batches(self.mesh)

        def opened() -> tuple[dict[str, Splits], dict[str, Splits]]:
            images = build.images(s, known)
            return images, build.larger_images(s, known, images)

        self.images, larger = multihost.on_process_0_first(opened)
        self.held_out = {d: x.val for d, x in self.images.items()}
        self.train_images = {d: x.train for d, x in larger.items()}
        self.order = build.order(s, larger)
        self.train_step = sharding.train_step_for(self.shardings)

    def create_state(self) -> TrainState:
        """Draws the initial state on the devices."""
        s = self.settings
        # Neither a partial nor a lambda: runs of one process then share the compiled program. It
        # runs once, so compiling it quickly is worth more than quick code; the numbers are equal.
        create = jax.jit(
            create_state,
            static_argnums=(1, 2),
            out_shardings=self.shardings,
            compiler_options={"xla_backend_optimization_level": 1},
        )
        return create(jax.random.key(s.seed), self.gan, build.image_shape(s))

    def lower_step(self) -> jax.stages.Lowered:
        """Traces the step for the shapes of this run."""
        state = sharding.shapes_with(self.shapes, self.shardings)
        return self.train_step.lower(self.gan, state, self._batch_shapes())

    def blank_batches(self) -> steps.Batch:
        """Creates black batches of a step on the devices."""
        shapes = self._batch_shapes()
        return {d: jnp.zeros(x.shape, x.dtype, device=x.sharding) for d, x in shapes.items()}

    def _batch_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        s = self.settings
        image_shape = build.image_shape(s)
        return sharding.batch_shapes(self.mesh, self.gan, s.data.batch_size, image_shape)

    def batches(self, start: int) -> Iterator[steps.Batch]:
        """Feeds the batches of each step.

        Args:
          start: finished steps.

        Returns:
          For each further step, uint8 batches on the devices.
        """
        s, train = self.settings, self.train_images
        kind, why = feed.choose(s.data.feed, train)
        logging.info("feed: %s (%s)", kind, why)
        if kind == "device":
            everywhere = sharding.replicated(self.mesh)
            data = feed.device_dataset(train, self.order, s.seed, everywhere)
            return feed.device_feed(data, start, self._batch_sharding)
        return feed.tf_feed(
            train,
            self.order,
            s.seed,
            start=start,
            stop=s.train.steps,
            rows=sharding.own_rows(self._batch_sharding, s.data.batch_size),
            sharding=self._batch_sharding,
        )
