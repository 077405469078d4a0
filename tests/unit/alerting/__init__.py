"""Which alerts follow."""
