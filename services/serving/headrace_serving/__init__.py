"""Generates answers with Ray Serve, base and adapters."""
