"""Trains a run, or several to compare, until all steps are done; the same command resumes.

CONFIG is a file, or the name of a config that comes with this package: discogan train sample.
With two folders of images, --a=FOLDER --b=FOLDER, the config may be left out.
"""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discogan_jax import host
from discogan_jax.commands import frame
from discogan_jax.config import flags
from discogan_jax.errors import DivergedError, InputError, InterruptedRunError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from discogan_jax.config.schema import Settings
    from discogan_jax.train.variants import Variant

Say = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """Describes several runs to compare.

    Attributes:
      name: name of the folder in `runs/`.
      variants: changes of the config.
      seeds: seeds that each variant is trained with; None for the config's own.
      measures: rows of the evaluation that the printed table shows; None for a few.
    """

    name: str
    variants: "Sequence[Variant]"
    seeds: Sequence[int] | None
    measures: Sequence[str] | None = None


def add_arguments(
    parser: frame.Parser,
    default: str | None = None,
    study: Callable[[], Study] | None = None,
) -> None:
    """Adds the arguments of `run`.

    Args:
      parser: takes the arguments.
      default: see `flags.add_arguments`.
      study: makes what is compared, instead of one run or what ``--sweep`` names.
    """
    flags.add_arguments(parser, default)
    parser.add_argument(
        "--help_settings",
        action="store_true",
        help="explain all settings, the fields of a config: what each is in the config that is "
        "named, or else by default, and its range",
    )
    parser.add_argument(
        "--workdir", type=frame.path, metavar="DIR", help="run directory; runs/NAME if not given"
    )
    if study is None:
        parser.add_argument(
            "--sweep",
            action="append",
            default=[],
            metavar="FIELD=VALUES",
            help="values to compare: --sweep=optim.learning_rate=1e-4,2e-4. All combinations are "
            "trained and measured in runs/NAME_sweep; may be given more than once",
        )
    parser.add_argument(
        "--dry_run",
        action="store_true",
        help="print all settings, devices, data, counts, memory, disk and time; do not train",
    )
    parser.add_argument(
        "--change",
        action="store_true",
        help="go on with a run although its pictures, rates, weights of losses, schedule or batch "
        "have changed; changes.jsonl in the run records that",
    )
    parser.add_argument(
        "--init_from",
        metavar="RUN[:STEP]",
        help="start a new run with the trained weights of a run, or of a folder of the official "
        "PyTorch code's; the same as --config.train.init_from",
    )
    parser.add_argument(
        "--init_optimizers",
        action="store_true",
        help="take over the optimizers' states, too",
    )
    parser.add_argument(
        "--coordinator", metavar="HOST:PORT", help="process 0, where several train one run"
    )
    parser.add_argument("--processes", type=int, metavar="N", help="how many train the run")
    parser.add_argument("--process", type=int, metavar="I", help="number of this one, from 0")
    parser.set_defaults(study=study)


def experiment(doc: str | None, default: str, **changes: Any) -> frame.Parser:
    """Makes the parser of a module in `experiments/`.

    Args:
      doc: docstring of the module, for ``--help``.
      default: name of the shipped config that is trained if none is named.
      **changes: see `add_arguments`.
    """
    parser = frame.Parser(description=doc, epilog=frame.EXIT_CODES)
    add_arguments(parser, default, **changes)
    parser.add_work(run, verbose=True)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and returns its exit code."""
    if arguments.help_settings:
        return _help_settings(arguments)
    _expand(arguments)
    config = flags.read(arguments)

    # Check the settings before what takes seconds to import.
    host.use_compile_cache()
    from discogan_jax import multihost
    from discogan_jax.config import listing
    from discogan_jax.config.schema import from_config

    settings = from_config(config)
    from discogan_jax.runs import layout, report, weights
    from discogan_jax.train import dry_run, sweep, train_and_evaluate, variants

    # What is there goes on with its own settings, if the config leaves that open.
    study, workdir, own = _choose(arguments)
    if own is not None:
        config = flags.read(arguments, own)
        settings = from_config(config)
    # Before JAX is used for the first time.
    height, width = settings.data.image_size
    host.keep_freed_memory(settings.data.batch_size * height * width)

    # Train in this process, or in several that have the same command.
    here = multihost.process_info(
        arguments.coordinator, arguments.processes, arguments.process, os.environ
    )
    if here is not None and study is not None:
        raise InputError("several processes train one run, not one run after another: no sweep")
    with multihost.joined(here):
        say = frame.say if multihost.is_chief() else lambda _: None
        if own is None and flags.leave_open(arguments):
            swept = {name for v in study.variants for name in v.changes} if study else set()
            flags.fit_machine(config, flags.names(arguments) | swept, say)
            settings = from_config(config)
        if study is None and flags.named_by_folders(arguments):
            settings = _keep_names(settings, workdir, say)
        settings = weights.named_as_before(settings, workdir)
        jobs = variants.plan(config, study.variants, workdir, study.seeds) if study else []
        title = f"{_title(arguments, settings, own)}; in {workdir}"
        # Describe it, compare several runs, or train one.
        if arguments.dry_run:
            say(f"{title}\n\n{listing.values(settings, flags.names(arguments))}\n")
            sweep.require_measurable(jobs)
            for i, job in enumerate(jobs):
                say(f"run {i + 1} of {len(jobs)}: {job.label}")
            planned, place = (
                ([job.settings for job in jobs], None) if jobs else ([settings], workdir)
            )
            for text in dry_run.describe(planned, place, change=arguments.change):
                say(text)
        elif study is not None:
            say(title)
            _compare(config, study, workdir)
        else:
            try:
                train_and_evaluate(settings, workdir, change=arguments.change, title=title)
            except (DivergedError, InterruptedRunError) as error:
                if not multihost.is_chief():
                    error.args = ("",)  # every process raises it, one prints it
                raise
            page = workdir / layout.REPORT_FILE
            shown = f"its page is {page}" if report.is_report(page) else "without a page"
            say(f"Done. The run is in {workdir}, {shown}")
    return 0


def _choose(arguments: argparse.Namespace) -> "tuple[Study | None, Path, Settings | None]":
    """Chooses what is trained: one run, the study of an experiment, or what ``--sweep`` asks for.

    Returns:
      What is compared, the folder, and the settings that what is there goes on with, if any.
    """
    from discogan_jax.train import variants

    name = flags.find(arguments).stem
    study: Study | None = arguments.study() if arguments.study else None
    if study is None and arguments.sweep:
        study = Study(f"{name}_sweep", *variants.product(arguments.sweep))
    if arguments.change and study is not None:
        raise InputError(
            "--change goes on with one run, a sweep compares runs that never changed: name another "
            "--workdir for the sweep"
        )
    workdir = arguments.workdir or Path("runs") / (study.name if study else name)
    places = variants.directories(study.variants, workdir, study.seeds) if study else [workdir]
    return study, workdir, _own_settings(places) if flags.leave_open(arguments) else None


def _expand(arguments: argparse.Namespace) -> None:
    """Adds the config fields that ``--init_from`` and ``--init_optimizers`` stand for."""
    given = {
        "init_from": arguments.init_from,
        "init_optimizers": "true" if arguments.init_optimizers else None,
    }
    for name, value in given.items():
        if value is not None:
            field, same = f"--config.train.{name}=", f"--config.train.{name}={value}"
            for other in (x for x in arguments.fields if x.startswith(field) and x != same):
                raise InputError(f"--{name} and {other} contradict each other: give one of them")
            arguments.fields.append(same)


def _keep_names(settings: "Settings", workdir: Path, say: Say) -> "Settings":
    """Keeps the names that a run's domains have, whatever their folders are called now."""
    if (own := _own_settings([workdir])) is None:
        return settings
    domains = own.domains
    if domains != settings.domains:
        say(f"{workdir} keeps the names of its domains: {domains.a} and {domains.b}")
    return replace(settings, domains=domains)


def _help_settings(arguments: argparse.Namespace) -> int:
    """Explains all settings, with the values of the config that the arguments name, if any."""
    from discogan_jax.config import listing, schema

    if flags.named(arguments):
        settings = schema.from_config(flags.load(flags.find(arguments), arguments.fields))
        frame.say(f"with the values of {flags.label(arguments)}:\n")
        frame.say(listing.explained(schema.flat(schema.to_json(settings))))
    else:
        frame.say(listing.explained())
    return 0


def _own_settings(places: Iterable[Path]) -> "Settings | None":
    """Returns the settings of the first of some runs that is there; None if there is none."""
    from discogan_jax.runs import layout

    for place in places:
        with contextlib.suppress(InputError):  # no run, or one that is refused later
            return layout.read_settings(place)
    return None


def _title(arguments: argparse.Namespace, settings: "Settings", own: "Settings | None") -> str:
    """Says in a line which config is trained, for how long, and what the command changes in it."""
    name = "the run's own settings" if own else flags.label(arguments)
    # Of a field that is given twice, the last value holds.
    given = dict(field.removeprefix("--config.").partition("=")[::2] for field in arguments.fields)
    changes = ", ".join(f"{field}={value}" for field, value in given.items())
    return f"{name}, {settings.train.steps:,} steps" + (f", with {changes}" if changes else "")


def _compare(config: "ConfigDict", study: Study, workdir: Path) -> None:
    """Trains and measures the runs of a study, and prints the table."""
    from discogan_jax.train import sweep

    outcomes = sweep.run(config, study.variants, workdir, seeds=study.seeds, say=frame.say)
    wanted = study.measures
    frame.say(sweep.table(outcomes, wanted) if wanted else sweep.overview(outcomes))
    frame.say(f"Done. {sweep.TABLE_FILE} and {sweep.RESULTS_FILE} in {workdir} have all measures")
    if bad := sum(bool(outcome.error) for outcome in outcomes):
        raise DivergedError(f"{bad} of {len(outcomes)} runs diverged")
