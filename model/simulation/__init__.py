"""Simulated heads with ground truth, and the scanners and centres that image them."""
