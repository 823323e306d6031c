"""Measures time and memory of reading an archive into arrays: this library and the book's loop.

    python -m benchmarks.data --archive path/to/edges2shoes.tar.gz --repeat 20

Every run is a separate process that starts from the tar.gz and an empty folder and ends with the
photos of the training split, 64 px, in an array. The time excludes the start of Python and its
imports, which are reported separately. Memory is the peak of the process, including imports.

The implementations: `library` reads the archive as training does (one pass, decoded by tf.data on
all cores); `prepared` does so from a data set that TFDS has prepared, which is not timed; `pillow`
is the library's former decoder (one pass, Pillow in threads); `book` is the book's loop as written:
the archive is unpacked, each picture is opened, resized to 128×64, cropped to the photo and saved
as JPEG, and at the end all are loaded again.
"""

import argparse
import json
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np

from benchmarks import processes
from discogan_jax.data import catalogue

SIZE = 64


def with_library(archive: Path, folder: Path) -> Callable[[], int]:
    """Returns a function that reads the archive with the library and counts the images."""
    from discogan_jax import host
    from discogan_jax.data import sources
    from discogan_jax.data.pix2pix import builder  # noqa: F401  imported when it is needed, else

    host.tensorflow()
    name = archive.name.removesuffix(".tar.gz")
    found = f"archive:{name}/photo"
    return lambda: len(
        sources.load(found, image_size=SIZE, data_dir=folder, archives=archive).train
    )


def with_prepared(archive: Path, folder: Path) -> Callable[[], int]:
    """Returns a function that reads what TFDS has prepared, and counts the images."""
    from discogan_jax.data.pix2pix import builder

    work = with_library(archive, folder)
    builder.prepare(archive.name.removesuffix(".tar.gz"), archives=archive, data_dir=folder)
    return work


def with_pillow(archive: Path, folder: Path) -> Callable[[], int]:
    """Returns a function that decodes the archive with Pillow in threads, and counts the images."""
    from PIL import Image

    from discogan_jax.data import decode
    from discogan_jax.data.pix2pix import archives, tar

    def photo(member: tar.Member) -> np.ndarray:
        pair = Image.open(BytesIO(member.jpeg))
        width, height = pair.width // 2, pair.height
        return np.asarray(pair.crop((width, 0, 2 * width, height)).reduce(height // SIZE))

    def read() -> int:
        published = archives.find(archive.name.removesuffix(".tar.gz"))
        found = (m for m in tar.members(archive, published) if m.split == "train")
        with (folder / "photos").open("wb") as file:
            return sum(file.write(x) > 0 for _, x in decode.map_ahead(photo, found))

    return read


def with_books_loop(archive: Path, folder: Path) -> Callable[[], int]:
    """Returns a function that reads the archive with the book's loop and counts the images."""
    from PIL import Image

    def loop() -> int:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        saved = folder / "photos"
        saved.mkdir()
        for path in sorted(folder.glob("*/train/*.jpg")):
            picture = Image.open(path).resize((2 * SIZE, SIZE))
            picture.crop((SIZE, 0, 2 * SIZE, SIZE)).save(saved / path.name)
        loaded = [np.asarray(Image.open(path)) for path in sorted(saved.glob("*.jpg"))]
        return len(np.stack(loaded))

    return loop


WAYS = {
    "library": with_library,
    "prepared": with_prepared,
    "pillow": with_pillow,
    "book": with_books_loop,
}


def one_turn(way: str, archive: Path) -> dict[str, float]:
    """Performs one run in this process: its times, the pictures, and the peak of memory."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        work = WAYS[way](archive, Path(folder))
        imported, cpu = time.perf_counter(), time.process_time()
        pictures = work()
        ended, cpu = time.perf_counter(), time.process_time() - cpu
    return {
        "seconds": ended - imported,
        "cpu_seconds": cpu,
        "imports_seconds": imported - begun,
        "pictures": pictures,
        "pictures_per_second": pictures / (ended - imported),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }


def repeated(archive: Path, times: int, folder: Path) -> Path:
    """Writes an archive that repeats every training picture, and returns its path."""
    made = folder / "repeated" / archive.name
    made.parent.mkdir()
    with tarfile.open(archive) as old, tarfile.open(made, "w:gz", compresslevel=1) as new:
        number = 0
        for member in old:
            content = old.extractfile(member)
            if content is None:
                continue
            data = content.read()
            split = Path(member.name).parent
            for _ in range(times if split.name == "train" else 1):
                number += 1
                copy = tarfile.TarInfo(str(split / f"{number}_AB.jpg"))
                copy.size = len(data)
                new.addfile(copy, BytesIO(data))
    return made


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, help="a pix2pix tar.gz; drawn pictures if missing")
    parser.add_argument("--repeat", type=int, default=1, help="repetitions of each picture")
    parser.add_argument("--budget", type=float, default=60, help="seconds")
    parser.add_argument("--turn", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.turn:
        print(json.dumps(one_turn(args.turn, args.archive)))
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = args.archive
        if archive is None:
            catalogue.write_archives(Path(folder))
            archive = Path(folder) / "edges2shoes.tar.gz"
        if args.repeat > 1:
            archive = repeated(archive, args.repeat, Path(folder))
        turn = partial(processes.take, "benchmarks.data", arguments=["--archive", str(archive)])
        settings = {
            "archive": args.archive.name if args.archive else "drawn edges2shoes",
            "repeat": args.repeat,
            "archive_mib": archive.stat().st_size / 2**20,
        }
        processes.run(
            "data", list(WAYS), turn, budget=args.budget, settings=settings, least_rounds=2
        )


if __name__ == "__main__":
    main()
