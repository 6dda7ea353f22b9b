"""One base URL for all services: nginx, embedded and in production from one template."""
