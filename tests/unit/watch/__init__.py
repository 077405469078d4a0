"""The watch loop."""
