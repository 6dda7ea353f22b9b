"""What the core needs from outside: the database and Ray."""
