"""`python -m benchmarks.field`."""

from benchmarks.field.table import main

if __name__ == "__main__":
    main()
