"""Benches and the fault suite."""
