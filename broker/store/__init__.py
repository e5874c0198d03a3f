"""The store: verbs that each decide one thing in one statement, on SQLite or PostgreSQL."""
