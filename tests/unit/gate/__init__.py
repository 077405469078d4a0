"""The gate and all it decides by."""
