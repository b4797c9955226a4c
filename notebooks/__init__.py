"""Questions answered with the catalogue: `# %%` scripts. Nothing imports them."""
