"""Rollwatch: watches API keys being rotated and says whether the old one may be retired."""

__version__ = "0.1.0"
