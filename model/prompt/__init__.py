"""What a prompt says: reading it into a record, and the record as numbers that networks take."""
