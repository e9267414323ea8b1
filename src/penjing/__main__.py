"""``python -m penjing``: the command line, where the script ``penjing`` is not on the path."""

from penjing.app.cli import main

if __name__ == "__main__":
    main()
