"""When, and in what order: Dagster and the command line, thin."""
