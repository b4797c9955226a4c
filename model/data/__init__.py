"""What networks are trained on: pairs of images with the records of their prompts."""
