"""The flag of the commands that write where people say."""

from discogan_jax.commands import frame


def add_overwrite(parser: frame.Parser) -> None:
    """Adds the flag ``--overwrite``, see `files.ours`."""
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace regular files that this program did not write; its own are replaced anyway, "
        "folders only if they are its own, links, pipes and devices never",
    )
