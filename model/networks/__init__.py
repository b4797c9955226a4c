"""Networks, their checkpoints, and the device that they compute on."""
