"""What runs in the Ray task: reading the holdout, generating, scoring. Imports torch."""
