"""Curates raw records into immutable dataset versions."""
