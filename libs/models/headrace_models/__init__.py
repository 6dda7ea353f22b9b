"""Model references, loading, chat templates and artefacts."""
