"""Facts of one module: what its code says, with the syntax tree left behind.

No LibCST node leaves this package; everything above works on :mod:`facts` and :mod:`code`.
"""
