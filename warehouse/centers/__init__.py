"""Centres: one YAML definition each, and the registry of those that a home has."""
