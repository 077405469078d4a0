"""One vendor per file; each implements a port of `monitor.ports`."""
