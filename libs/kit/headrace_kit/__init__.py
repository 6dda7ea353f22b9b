"""The chassis of a Headrace service."""
