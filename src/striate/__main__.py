"""`python -m striate`: the command, where it is not on the path."""

from striate.cli import main

if __name__ == "__main__":
    main()
