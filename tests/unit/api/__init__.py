"""The HTTP interface on the store in memory."""
