"""The model that the package carries as `demo`: drawn bags ↔ drawn shoes, 32 px.

    python -m experiments.demo_model

It trains `configs/sample.py` for twice as long, writes the averaged generators in half precision,
measures them as they are written, and puts them, with their card, into `discogan_jax/demo/`. The
run is `runs/demo-model`; the same command resumes it.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

try:
    from discogan_jax.commands import card, frame
except ModuleNotFoundError as error:
    sys.exit(f"{error}: start it with python -m experiments.demo_model")

STEPS = 1_600


def _parser() -> frame.Parser:
    parser = frame.Parser(description=__doc__)
    parser.add_argument("--workdir", type=frame.path, default=Path("runs/demo-model"))
    parser.add_argument("--data_dir", type=frame.path, default=Path("data"))
    parser.add_argument("--out", type=frame.path, help="discogan_jax/demo if not given")
    parser.add_work(_run, verbose=True)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from discogan_jax import runs
    from discogan_jax.configs import sample
    from discogan_jax.evaluation import evaluate
    from discogan_jax.files import read_json, write_json
    from discogan_jax.runs import demo, layout
    from discogan_jax.train.loop import train_and_evaluate

    config = sample.get_config()
    config.data.data_dir = str(arguments.data_dir)
    config.train.steps = STEPS
    config.train.sample_every = STEPS
    train_and_evaluate(config, arguments.workdir)
    run = runs.open(arguments.workdir)
    with tempfile.TemporaryDirectory() as temporary:
        folder = card.write(run, Path(temporary) / demo.NAME)
        shutil.rmtree(folder / layout.CHECKPOINTS)
        demo.write(run.state, folder)
        # Measure what is written: half precision.
        half, references = runs.open(folder), evaluate.references_of(run)
        measured = evaluate.write(half, evaluate.measure(half, references), references)
        # The package is no place for the name of a machine.
        written = read_json(measured)
        versions = {x: y for x, y in written["versions"].items() if x != "machine"}
        write_json(measured, written | {"versions": versions})
        write_json(folder / layout.VERSIONS_FILE, versions)
        frame.say(str(card.write(half, arguments.out or demo.FOLDER)))
    return 0


if __name__ == "__main__":
    sys.exit(frame.main(_parser))
