"""What the monitor does again and again: read, let core decide, write and emit in one transaction."""
