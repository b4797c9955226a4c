"""The published catalogue: table specification, SQL, publication, snapshots and queries."""
