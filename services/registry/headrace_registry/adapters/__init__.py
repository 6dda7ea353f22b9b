"""What the core needs from outside: the database and MLflow's registry."""
