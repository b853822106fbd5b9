"""Facts read from LibCST's concrete syntax tree: slower, but it reads every Python's syntax, and knows every blank."""
