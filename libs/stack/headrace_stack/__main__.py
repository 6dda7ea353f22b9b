"""`python -m headrace_stack`: the command `headrace`."""

from headrace_stack.cli import main

if __name__ == "__main__":
    main()
