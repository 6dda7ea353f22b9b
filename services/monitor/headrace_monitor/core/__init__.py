"""What the monitor knows and decides; no Kafka, no HTTP, no database in here."""
