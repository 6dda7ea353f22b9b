"""Scores candidate and incumbent, paired, with intervals."""
