"""Scones Unlimited's vehicle-routing ML workflow."""

__version__ = "0.1.0"
