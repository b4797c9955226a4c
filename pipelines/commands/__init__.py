"""Define the subcommands of `tumsyn`.

Libraries that take long to load, and modules that load them, are imported inside the functions that need them, so that
`tumsyn --help` and a wrong option are answered at once. `tests/pipelines/commands/test_cli.py` checks this.
"""
