"""The fault suite: kill and restart the real stack under load, then count by id."""
