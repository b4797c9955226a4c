"""Running jobs: launching, stopping, waiting, progress, and the processes that train."""
