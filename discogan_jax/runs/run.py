"""Run directories: starting or resuming one, and opening its trained state."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import jax

from discogan_jax import files, host, sharding, steps
from discogan_jax.config import build, schema
from discogan_jax.config.schema import Settings
from discogan_jax.data import sources
from discogan_jax.data.cache import Splits
from discogan_jax.data.folder import Folder
from discogan_jax.errors import InputError
from discogan_jax.images import Preparation, in_batches
from discogan_jax.runs import best, changes, demo, layout, manifest, pictures, reading
from discogan_jax.runs.best import Step
from discogan_jax.runs.translating import Images, Translations, Translator
from discogan_jax.state import DiscoGAN, Domains, TrainState


def begin(
    directory: Path,
    settings: Settings,
    loaded: Mapping[str, Splits] | None = None,
    *,
    change: bool = False,
    step: int = 0,
) -> None:
    """Creates a run directory, or puts the settings in force with which its run goes on.

    What changes is recorded before it is in force, so that a killed process leaves nothing that
    the same command would not complete. Leftovers of killed processes are removed, so this process
    has to hold the directory's lock.

    Args:
      directory: the run directory.
      settings: written as ``config.json``.
      loaded: the pictures of the run, see `pictures.claim`; None leaves them unrecorded.
      change: whether a run of other settings or pictures goes on with these.
      step: finished steps, after which these settings and pictures are used.

    Raises:
      InputError: `check_resumable` raises it, or the directory cannot be written.
      OSError: the disk is full or read-only, see `files.disk_full`.
    """
    samples = directory / layout.SAMPLES
    try:
        # Nothing is written before it is clear that the run is ours.
        changed = check_resumable(directory, settings, change=change)
        samples.mkdir(parents=True, exist_ok=True)
        if not (directory / layout.CONFIG_FILE).exists():
            files.write_json(directory / layout.VERSIONS_FILE, host.versions())  # it is ours now
        else:
            in_force = schema.flat(schema.to_json(layout.read_settings(directory)))
            changes.settle(directory, in_force, pictures.digests_file(directory), step)
        if loaded is not None:
            pictures.claim(directory, settings, loaded, change=change, step=step)
        if changed:
            changes.record(directory, step, settings=changed)
        files.write_json(directory / layout.CONFIG_FILE, schema.to_json(settings))
        files.write_json(directory / layout.VERSIONS_FILE, host.versions())
        for folder in (directory, samples):
            files.remove_leftovers(folder)
    except OSError as error:
        if files.disk_full(error):
            raise
        raise InputError(
            f"{error.filename or directory} cannot be written ({error.strerror}): remove what is "
            "there, or name another --workdir"
        ) from error


def withdraw(directory: Path) -> None:
    """Removes the files of a run that has no checkpoint: other settings may then begin here.

    This process has to hold the directory's lock.
    """
    if not manifest.steps(directory / layout.CHECKPOINTS):
        # By the versions, what else is left is known as ours.
        written = {*layout.FILES} - {layout.VERSIONS_FILE}
        for path in (*map(directory.joinpath, written), *directory.glob("digests-*.npz")):
            path.unlink(missing_ok=True)


def _require_outside(directory: Path, settings: Settings) -> None:
    """Refuses a run among the pictures that it is trained on, where its samples would be some."""
    for text in (settings.data.source_a, settings.data.source_b):
        source = sources.parse(text)
        if isinstance(source, Folder) and source.searches(directory):
            raise InputError(
                f"{directory} is in {source.folder}, where the samples of the run would be found "
                "as pictures to train on: name another --workdir"
            )


def check_resumable(
    directory: Path,
    settings: Settings,
    loaded: Mapping[str, Splits] | None = None,
    *,
    change: bool = False,
    alone: bool = True,
) -> schema.Differences:
    """Checks that a directory has no run, or one that the settings may resume.

    Args:
      directory: the run directory; it need not exist.
      settings: the settings.
      loaded: the pictures; None to check the settings alone.
      change: whether a run of other settings or pictures may go on with these.
      alone: whether the run is none of a sweep, whose runs do not change.

    Returns:
      The settings that change on request.

    Raises:
      InputError: a run of other settings or pictures is there, or its config is damaged; or the
        files of something else.
    """
    if not (directory / layout.CONFIG_FILE).exists():
        layout.require_free(directory)
        _require_outside(directory, settings)
        return {}
    try:
        before = layout.read_settings(directory)
    except InputError as error:
        raise InputError(
            f"{error}: name another --workdir, or remove that file to resume with this config"
        ) from error
    requested, fixed = schema.differences(before, settings)
    # Where a run has started from does not change; another run can start from it.
    start = {name: x for name, x in fixed.items() if name.startswith("train.init_")}
    others = {name: x for name, x in fixed.items() if name not in start}
    anew = f"--init_from={directory} in another --workdir starts from its weights with another"
    # No layer of other networks would fit.
    if any(name in ("model.recipe", "model.width", "data.channels") for name in others):
        anew = "Only a new run has another"
    on_request = "--change goes on with another" if alone else "A sweep changes none of its runs"
    ways = {
        on_request: {} if change else requested,
        anew: others,
        "It goes on only with the start that it had": start,
    }
    if any(ways.values()):
        raise InputError(
            f"{directory} holds the run of another config; use the same values, or name another "
            "--workdir." + "".join(f"\n{way}:{_listed(x)}" for way, x in ways.items() if x)
        )
    if loaded is not None:
        pictures.check(directory, settings, loaded, change=change)
    return requested


def _listed(found: schema.Differences) -> str:
    return "".join(f"\n  {name}: {old!r} there, {new!r} now" for name, (old, new) in found.items())


@dataclass(frozen=True, repr=False)
class Run(Translator):
    """A run at one of its checkpoints; its training may have ended or not.

    Attributes:
      path: the run directory.
      settings: its settings.
      gan: its networks, optimizers and losses.
      step: step of the checkpoint.
      state: state in the checkpoint.
    """

    path: Path
    settings: Settings
    gan: DiscoGAN
    step: int
    state: TrainState

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, step {self.step}>"

    @property
    def domains(self) -> Domains:
        """Names of a and b."""
        return self.settings.domains

    @cached_property
    def preparations(self) -> Mapping[str, Preparation]:
        """By domain, what is done to a picture before it is translated."""
        return pictures.preparations(self.path, self.settings)

    def images(self) -> dict[str, Splits]:
        """Opens the images of both domains as they are trained on.

        Raises:
          InputError: the sources are not here.
        """
        return pictures.open_images(self.path, self.settings)

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions that are trained."""
        return self.gan.translations

    @property
    def raw(self) -> "Run":
        """The same run with parameters and statistics themselves in place of their averages."""
        return replace(self, state=replace(self.state, ema=None, ema_stats=None))

    def apply(self, images: Images, direction: str, batch_size: int = 64) -> Translations:
        """Translates images with running batch-norm statistics and averaged parameters."""

        def translate(batch: Images) -> jax.Array:
            return steps.translate(self.gan, self.state, batch, direction)

        return in_batches(translate, images, batch_size)


def open(path: str | Path, step: Step = None) -> Run:
    """Opens a run directory; another process may be training in it.

    Args:
      path: the directory, or one of its checkpoints; ``demo``, where the current directory has no
        such folder, is the model that the package carries.
      step: step of the checkpoint; the newest intact one if None, and ``best`` for the best one by
        the run's `keep_best`.

    Raises:
      InputError: no run is there, or no such checkpoint, or it is damaged.
    """
    path = demo.located(path).absolute()
    if path.parent.name == layout.CHECKPOINTS and path.name.isdecimal():
        if step not in (None, int(path.name)):
            raise InputError(f"{path} is one checkpoint, and {step} another: name one of them")
        path, step = path.parent.parent, int(path.name)
    settings = layout.read_settings(path)
    # One device is enough to translate; the state is read onto it.
    where = sharding.replicated(sharding.data_mesh(jax.local_devices()[:1]))
    gan = build.gan(settings)
    shapes = build.state_shapes(settings, gan)
    if demo.is_there(path):
        state = jax.device_put(demo.read(path, shapes), where)
        if step not in (None, int(state.step)):
            raise InputError(f"{path} has the weights of step {state.step} alone: leave out {step}")
        return Run(path, settings, gan, int(state.step), state)
    if step == "best":
        step = best.known(path, settings.train.keep_best).step

    checkpoints = path / layout.CHECKPOINTS
    saved = manifest.steps(checkpoints)
    if not saved or (step is not None and step not in saved):
        there = f"it has {', '.join(map(str, saved))}" if saved else "it has none yet"
        wanted = "no checkpoint" if step is None else f"no checkpoint {step}"
        raise InputError(f"{path} has {wanted}; {there}")

    step, state = reading.read(checkpoints, shapes, where, step)
    return Run(path, settings, gan, step, state)
