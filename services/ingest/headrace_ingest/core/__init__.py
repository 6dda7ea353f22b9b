"""The domain of ingest: rows, sources, landing and captured traffic."""
