"""`python -m local` runs the demo."""

import sys

from local.demo import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
