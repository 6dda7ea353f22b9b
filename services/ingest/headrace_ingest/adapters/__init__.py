"""Files, Delta tables, the interpreter's documentation and the database."""
