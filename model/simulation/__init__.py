"""Simulated heads whose truth is known, and the scanners and centres that image them."""
