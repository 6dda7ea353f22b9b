"""Windows, canary judgements, drift, and the console."""
