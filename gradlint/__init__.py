"""A linter for PyTorch grad modes, graphs and ``.grad``."""

__version__ = "0.1.0"
