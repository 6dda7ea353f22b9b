"""The embedded Headrace stack and the `headrace` command."""
