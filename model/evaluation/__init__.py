"""How good a model is: measures, the protocol that fixes them, the baselines, and the gates."""
