"""The last line of a command's help."""


def examples(*commands: str) -> str:
    """Return the examples as the help prints them."""
    shown = ", ".join(f"`{command}`" for command in commands)
    return f"Example{'s' if len(commands) > 1 else ''}: {shown}"
