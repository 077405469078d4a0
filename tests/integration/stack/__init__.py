"""The stack in one file, checked as far as it can be without an engine."""
