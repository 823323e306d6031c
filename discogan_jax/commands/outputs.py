"""Flags of the commands that write."""

from discogan_jax.commands import frame


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
