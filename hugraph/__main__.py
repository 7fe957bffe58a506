"""`python -m hugraph`, the same as `hugraph`."""

from hugraph.cli.main import main

main()
