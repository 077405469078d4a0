"""A demonstration: a simulated fleet through the production path, embedded or on real parts."""
