"""How good a model is: measures, the protocol that fixes them, the floors, and the gates."""
