"""Define the subcommands of `tumsyn`."""
