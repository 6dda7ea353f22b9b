"""The domain: policies, checks and what becomes of a request or an answer."""
