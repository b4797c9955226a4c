"""Storage that many processes write at once: home, atomic files, locks, Parquet parts and events."""
