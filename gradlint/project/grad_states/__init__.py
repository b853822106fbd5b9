"""Grad states: what guards do to them, and in which of them each function can run."""
