"""The one definition of tables, features, rows and packet fields; everything else derives from it."""

from lasair.schema.model import Column, Field, Table, layout, load_tables, table, tables

__all__ = ["Column", "Field", "Table", "layout", "load_tables", "table", "tables"]
