"""Any two folders of images.

    python -m experiments.folders --a=photos/cats --b=photos/dogs --workdir=runs/cats_dogs

The recipe is that of `configs/best.py`, at 32 px on a CPU and 64 px on an accelerator unless
--config.data.image_size is given. A run that is there goes on with its own settings.
Pictures of any size and name are used, including those in subfolders and behind links to folders.
Each is cropped to its largest centred square (--config.data.fit changes that); transparent pixels
become white. If a folder has subfolders `train` and `val` (or `test`), these are the splits;
otherwise about 5% are held out. The folders' names become the domains' names, if they differ and
are printable. A folder with `trainA` and `trainB`, given for both, is both.
"""

import sys

try:
    from discogan_jax.commands import frame, train
except ModuleNotFoundError as error:
    sys.exit(f"{error}: start it with python -m experiments.folders")
except KeyboardInterrupt:  # the frame is not there yet to end without a traceback
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(frame.main(lambda: train.experiment(__doc__, "folders")))
