"""From a scan and a prompt to the scan that was asked for."""
