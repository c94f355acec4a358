"""How data comes in and goes out: one module a format, its reader and its writer side by side.

Readers turn a file into rows with their line numbers; they know nothing of the database.
"""
