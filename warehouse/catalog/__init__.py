"""The published catalogue: SQL, publication, snapshots and queries."""
