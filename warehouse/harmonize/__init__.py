"""Harmonisation of catalogued scans into volumes on a common grid.

`session` runs the steps for one visit: `mask` finds the brain, `intensity` corrects bias and scales, `alignment`
registers; `warehouse.imaging` reads and resamples, and `warehouse.quality` measures. `plan` finds the scans of a
centre, `tasks` runs its sessions in processes, and `center` commits their `rows`.
"""
