"""Prompts: the typed record, its sentence, the parser, the vocabulary and physical limits."""
