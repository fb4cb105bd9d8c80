"""``python -m monai_transfer``."""

from monai_transfer.cli import main

if __name__ == "__main__":
    main()
