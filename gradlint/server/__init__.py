"""A language server: findings while one types, fixes and comments as actions, rule pages on hovering."""
