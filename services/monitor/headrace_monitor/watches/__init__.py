"""What the monitor does again and again: read, let core decide, then write and emit at once."""
