"""The subcommands of `discogan`, a module each."""
