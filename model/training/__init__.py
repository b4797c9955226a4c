"""How networks learn: the loop that can be killed at any time, and what each kind of model trains on."""
