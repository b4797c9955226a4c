"""From tissue and protocol to signal: relaxation values and the equations of the sequences."""
