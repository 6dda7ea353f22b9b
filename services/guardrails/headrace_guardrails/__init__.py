"""Checks prompts and answers."""
