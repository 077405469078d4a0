"""`python -m monitor` is `rollwatch`."""

from monitor.cli import main

main()
