"""File names of a run directory, and its small files read and written; imports no JAX by itself."""

from pathlib import Path
from typing import TYPE_CHECKING

from discogan_jax.errors import InputError
from discogan_jax.files import read_json

if TYPE_CHECKING:
    from discogan_jax.config.schema import Settings

CONFIG_FILE = "config.json"
VERSIONS_FILE = "versions.json"
METRICS_FILE = "metrics.jsonl"
EVALUATION_FILE = "evaluation.json"
REPORT_FILE = "report.html"
CHECKPOINTS = "checkpoints"
SAMPLES = "samples"
DATA_FILE = "data.json"
DIGESTS_FILE = "digests.npz"
CHANGES_FILE = "changes.jsonl"
FILES = (CONFIG_FILE, VERSIONS_FILE, METRICS_FILE, DATA_FILE, DIGESTS_FILE, CHANGES_FILE)
"""What every run has or may have from its beginning on."""


def read_settings(run: Path) -> "Settings":
    """Reads the settings of a run.

    Raises:
      InputError: there is no run, or its config is damaged.
    """
    from discogan_jax.config import schema  # imports JAX

    path = run / CONFIG_FILE
    try:
        return schema.from_config(read_json(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{run} is no run directory: it has no {CONFIG_FILE}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error})") from error
