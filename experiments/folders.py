"""Any two folders of images: your own.

    python -m experiments.folders --a=photos/cats --b=photos/dogs --workdir=runs/cats_dogs

JPEG, PNG, WebP, BMP and TIFF of any size, in subfolders too, but not behind links to folders. Each
image's largest centred square is used; transparent pixels become white. If a folder has `train` and
`val` (or `test`) inside, those are the splits; otherwise about 5% are held out. The folders' names
become the domains' names, if they differ and can be printed.
"""

import sys

from discogan_jax.commands import frame, train

if __name__ == "__main__":
    sys.exit(frame.main(train.experiment(__doc__, "folders")))
