"""What core's decisions are made from and written to."""
