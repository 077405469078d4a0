"""The daemon's moving parts: what keeps store, keys file, workers and server going. `app.py` joins them."""
