"""Networks that put prompts and images into one space, and the loss that brings them together."""
