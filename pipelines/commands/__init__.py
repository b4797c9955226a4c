"""The parts of the command `tumsyn`, one module each."""
