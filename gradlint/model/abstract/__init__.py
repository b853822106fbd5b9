"""The same facts read from the abstract syntax tree that Python itself makes, at a tenth of the cost."""
