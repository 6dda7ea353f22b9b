"""Models: references, loading, chat templates, generation and artefacts."""
