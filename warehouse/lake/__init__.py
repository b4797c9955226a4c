"""Data that many processes write at once: the home, atomic files, and the Parquet parts of every stage."""
