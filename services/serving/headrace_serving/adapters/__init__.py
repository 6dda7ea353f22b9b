"""What core asks for: the engine on Ray, guardrails over HTTP, the database."""
