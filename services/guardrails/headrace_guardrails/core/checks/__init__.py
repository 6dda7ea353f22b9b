"""The checks, one a file; each is `check(text, policy) -> Verdict`."""
