"""Compares the memory that a step needs with what there is, and finds the batch that would fit."""

import jax

from discogan_jax import host, sharding, units
from discogan_jax.data import feed
from discogan_jax.errors import InputError
from discogan_jax.train.setup import Setup


class StepMemory:
    """The memory of a run's steps: of each device, or of the machine where CPUs compute.

    Attributes:
      there: what there is, and what is taken before there is a state.
      state: bytes of networks and optimizers.
      step: bytes of a step, the state included; None until it is compiled.
    """

    def __init__(self, setup: Setup):
        """Looks at what there is; has to come before the state is made and the step compiled."""
        self._setup = setup
        devices = setup.mesh.local_devices
        self._sharing = len(devices) if setup.on_cpu else 1  # CPUs have one memory
        self.there = host.device_memory(devices[0])
        images, wanted = setup.train_images, setup.settings.data.feed
        # CPUs use the host's arrays in place.
        if not setup.on_cpu and feed.choose(wanted, images)[0] == "device":
            taken = self.there.taken + sum(x.nbytes for x in images.values())
            self.there = self.there._replace(taken=taken)
        each = sharding.bytes_per_device(setup.shapes, setup.shardings)
        self.state = self._sharing * each
        self.step: int | None = None

    def check(self, compiled: jax.stages.Compiled | None = None) -> None:
        """Refuses a run that does not fit: the system might kill it without a word.

        Args:
          compiled: the step; None before it is compiled, when the state alone is known.

        Raises:
          InputError: more is needed than there is.
        """
        if compiled is not None and (found := compiled.memory_analysis()) is not None:
            # Results that take the place of inputs count once.
            results = found.output_size_in_bytes - found.alias_size_in_bytes
            each = found.argument_size_in_bytes + results + found.temp_size_in_bytes
            self.step = self._sharing * each
        if self.there.taken + (self.step or self.state) > self.there.total:
            raise InputError(self._describe("The run does not fit into memory"))

    def explain(self, error: BaseException) -> str | None:
        """Explains an error if memory was lacking; returns None for all others."""
        why = host.out_of_memory(error)
        return self._describe(f"Out of memory ({why})") if why else None

    def fitting_batch(self) -> int:
        """Estimates the largest batch that fits; 0 if there is none, or if the step is unknown."""
        if self.step is None:
            return 0
        size, devices = self._setup.settings.data.batch_size, self._setup.mesh.size
        # A step makes a second state; all else is in proportion to the batch.
        fixed = 2 * self.state
        room = self.there.total - self.there.taken - fixed
        fits = max(0, size * room // max(self.step - fixed, 1))
        # What has failed is not advised again.
        fits = min(fits, size // 2) if fits >= size else fits
        return fits // devices * devices or fits

    def _describe(self, problem: str) -> str:
        t, state = self._setup.settings.train, units.size(self.state)
        needed = f"networks and optimizers take {state}"
        if self.step is not None:
            whole = units.size(self.there.taken + self.step)
            needed = f"a step needs about {whole}, networks and optimizers {state} of it"
        batch = "a smaller config.data.batch_size" if self.step is None else "no batch"
        if fits := self.fitting_batch():
            batch = f"about config.data.batch_size={fits}"
        others = ["a smaller config.data.image_size", "a smaller config.model.width"]
        # On CPUs results of half the size are computed in buffers of full size.
        if t.precision != "bfloat16" and not self._setup.on_cpu:
            others.append("config.train.precision=bfloat16")
        if self._setup.mesh.size > 1 and not t.shard_state:
            others.append("config.train.shard_state=True")
        there = f"there are {units.size(self.there.total)} ({self.there.limit})"
        less = f"less is needed with {', '.join(others[:-1])} or {others[-1]}"
        return f"{problem}: {needed}; {there}. Of batches, {batch} would fit; {less}."
