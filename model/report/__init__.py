"""Reports of evaluations, for people: figures from the catalogue, pictures from the model."""
