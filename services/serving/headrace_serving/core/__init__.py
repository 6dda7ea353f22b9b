"""The domain: routes, canaries, batches and answers."""
