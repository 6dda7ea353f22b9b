"""The registry's domain: versions, their states, the gate, and what an event decides."""
