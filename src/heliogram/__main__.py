"""`python -m heliogram` is the `heliogram` command."""

from .cli import main

if __name__ == "__main__":
    main()
