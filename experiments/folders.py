"""Any two folders of images: your own.

    python -m experiments.folders --a=photos/cats --b=photos/dogs --workdir=runs/cats_dogs

JPEG, PNG, WebP, BMP and TIFF of any size, in subfolders too, but not behind links to folders. Each
image's largest centred square is used; transparent pixels become white. If a folder has `train` and
`val` (or `test`) inside, those are the splits; otherwise about 5% are held out. The folders' names
become the domains' names, if they differ and can be printed.
"""

import os
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from discogan_jax.errors import InputError
from discogan_jax.train import launch

A = flags.DEFINE_string("a", None, "Folder of images of domain A.")
B = flags.DEFINE_string("b", None, "Folder of images of domain B.")


def use_folders(config: ConfigDict) -> None:
    """Puts the folders of the flags, and their names, into the config."""
    missing = [f"--{flag.name}=FOLDER" for flag in (A, B) if not flag.value]
    if missing:
        raise InputError(f"{' and '.join(missing)} missing: the folders to translate between")
    # Links in a circle have no end: `Path.resolve` raises, and the source's own check tells better.
    names = tuple(Path(os.path.realpath(str(flag.value))).name for flag in (A, B))
    config.data.source_a, config.data.source_b = f"folder:{A.value}", f"folder:{B.value}"
    usable = names[0] != names[1] and all(name and name.isprintable() for name in names)
    config.domains = names if usable else ("a", "b")


if __name__ == "__main__":
    launch.run("folders.py", use_folders)
