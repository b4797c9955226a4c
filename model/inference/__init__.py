"""Synthesis of a scan from another scan and a prompt."""
