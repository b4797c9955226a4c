"""Prompts: the typed record, the sentence that it is written as, and the parser that reads one."""
