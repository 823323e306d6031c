"""Arguments that several commands have: what they read, and where they write."""

from discogan_jax.commands import frame


def add_inputs(parser: frame.Parser) -> None:
    """Adds the pictures that people name, and the flag ``--pairs``."""
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="files, folders (with all below them), glob patterns, or - for standard input",
    )
    parser.add_argument(
        "--pairs",
        choices=("left", "right"),
        help="inputs show two pictures side by side, as in the pix2pix archives: take this one",
    )


def add_overwrite(parser: frame.Parser) -> None:
    """Adds the flag ``--overwrite``, see `files.ours`."""
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace regular files that this program did not write; its own are replaced anyway, "
        "folders only if they are its own, links, pipes and devices never",
    )


def add_data_dir(parser: frame.Parser) -> None:
    """Adds the flag ``--data_dir``, see `matching.open_catalogue`."""
    parser.add_argument(
        "--data_dir",
        "--data-dir",
        type=frame.path,
        metavar="FOLDER",
        help="folder of prepared data, where the catalogue's index is kept; that of the run's "
        "config if not given",
    )
