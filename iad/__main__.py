"""Lets `python -m iad` run the command line."""

import sys

from iad.cli import main

if __name__ == "__main__":
    sys.exit(main())
