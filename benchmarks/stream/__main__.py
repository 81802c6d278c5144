"""`python -m benchmarks.stream`: see `play`."""

from benchmarks.stream.play import main

if __name__ == "__main__":
    main()
