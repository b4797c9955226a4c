"""Images in space: geometry, and the one reader of NIfTI that ingest, harmonisation and synthesis share."""
