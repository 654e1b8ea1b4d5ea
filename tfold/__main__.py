"""`python -m tfold` is the command line."""
from tfold.cli import main

if __name__ == "__main__":
    main(prog_name="tfold")
