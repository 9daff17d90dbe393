"""What drawing costs beside bare diffusers: with the house painter anywhere, and on a GPU with models of real sizes."""

import torch

from benchmarks.engine import backlog, house, sizes


def main() -> None:
    house.main()
    if torch.cuda.is_available():
        sizes.main()
        backlog.main()


if __name__ == "__main__":
    main()
