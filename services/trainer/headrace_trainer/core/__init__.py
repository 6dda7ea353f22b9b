"""Fine-tuning in its own words: plan, batches, loop, checkpoints. No Kafka, HTTP or database."""
