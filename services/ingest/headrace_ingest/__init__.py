"""Lands files, sources, traffic and feedback as Delta tables."""
