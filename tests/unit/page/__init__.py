"""The status page, asked without a browser."""
