"""Run jobs, stop commands, and show and record the progress of work."""
