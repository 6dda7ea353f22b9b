"""What core asks for: tables, Ray, MLflow, the job table."""
