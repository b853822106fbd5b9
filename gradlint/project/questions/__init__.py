"""The questions that rules ask of a project, one module for each kind."""
