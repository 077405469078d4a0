"""The demo: its fleet and its clock."""
