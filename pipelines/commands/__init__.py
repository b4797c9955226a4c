"""The parts of the command `tumsyn`, one module each.

Belongs here: reading options, calling one function of `warehouse` or `pipelines.launch`, printing what came back.
Does not belong here: imports of anything heavy at the top of a module; they stand in the functions that need them.
"""
