"""`event-path`: requests over Kafka through guardrails, serving and guardrails again."""
