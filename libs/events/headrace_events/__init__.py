"""Event models, envelope and topic catalogue of Headrace."""
