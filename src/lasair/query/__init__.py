"""Lasair SQL: users' SELECT and WHERE clauses, checked and compiled to SQLite and MariaDB.

A user's text is never executed. It is cut into words (`lex`), parsed (`parse`), every node is checked, typed and
rebuilt as a tree of our own (`check`, `tree`), and two generators write that tree as SQL with every value bound.
"""
