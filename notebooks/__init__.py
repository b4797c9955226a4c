"""Answer questions with the catalogue, in `# %%` scripts that nothing imports."""
