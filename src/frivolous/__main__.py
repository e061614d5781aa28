"""The command line by ``python -m frivolous``."""

from frivolous.cli.verbs import main

if __name__ == "__main__":
    main()
