"""Assets, named as their tables and grouped by layer."""
