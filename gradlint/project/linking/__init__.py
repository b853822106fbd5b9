"""Names across modules: what they refer to, what is assigned to them, which classes are modules."""
