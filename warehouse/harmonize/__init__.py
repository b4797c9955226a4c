"""From a catalogued scan to a volume that a model can train on and a person can trust.

Each step is a pure function in a module of its own: `image` loads, `brain` finds the brain, `bias` corrects,
`register` aligns, `grid` places, `resample` interpolates once, `intensity` scales, `quality` measures. `session` puts
them in order for one visit, `center` runs all visits of a centre.
"""
