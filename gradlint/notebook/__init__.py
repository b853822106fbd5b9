"""Notebooks as sources: the Python cells in their order are one program, because that is how they are run.

Each cell begins with a line that only marks it. Lines that are for IPython and not for Python (``%matplotlib
inline``, ``!pip install``, ``model?``) are put away, and something that keeps the lines and columns of all else
stands in their place. :func:`saved` turns a source, mended or not, into the notebook's file again, in which
nothing has changed but the text of cells.
"""

from gradlint.notebook.cells import Cell, cells, without
from gradlint.notebook.layout import file_lines
from gradlint.notebook.opening import SUFFIX, assembled, decode, read
from gradlint.notebook.saving import saved

__all__ = ["SUFFIX", "Cell", "assembled", "cells", "decode", "file_lines", "read", "saved", "without"]
