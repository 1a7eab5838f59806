"""What is said to SQLite about the tables of `sqlite_schema`."""

from __future__ import annotations

__all__ = ["Statements"]


class Statements:
    """SQL about the tables of one namespace.

    Args:
        own: what their names end in; a `$` stands for it here.
    """

    #: Data by name; and name and data by names, the marks for which go in the place of the {}.
    read = "SELECT data FROM names_$ n CROSS JOIN data_$ d ON d.id = n.id WHERE n.name = ?"
    read_many = """
        SELECT n.name, data FROM names_$ n CROSS JOIN data_$ d ON d.id = n.id
        WHERE n.name IN ({})"""
    count = "SELECT entries FROM data_$ ORDER BY id DESC LIMIT 1"

    #: The last row with the totals, and the row of a name.
    state = """
        SELECT l.id, l.entries, l.bytes, l.indexed, l.name IS NULL, n.id, r.size, r.due
        FROM data_$ l LEFT JOIN names_$ n ON n.name = ? LEFT JOIN data_$ r ON r.id = n.id
        ORDER BY l.id DESC LIMIT 1"""
    row = "SELECT size, due FROM data_$ WHERE id = ?"
    append = "INSERT OR REPLACE INTO data_$ VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    replace = "UPDATE data_$ SET size = ?, until = ?, due = ?, data = ? WHERE id = ?"
    set_totals = "UPDATE data_$ SET entries = ?, bytes = ? WHERE id = ?"
    set_indexed = "UPDATE data_$ SET indexed = id WHERE id = ?"
    set_due = "UPDATE data_$ SET due = ? WHERE id = ?"
    drop_row = "DELETE FROM data_$ WHERE id = ?"
    empty_row = """
        UPDATE data_$ SET size = 0, until = NULL, due = NULL, name = NULL, data = NULL
        WHERE id = ?"""

    set_name = "INSERT OR REPLACE INTO names_$ VALUES (?, ?, ?)"
    set_used = "UPDATE names_$ SET used = ? WHERE name = ? AND used < ?"
    drop_name = "DELETE FROM names_$ WHERE name = ?"
    between = """
        SELECT name, id FROM names_$ WHERE name > ? AND name < ? AND id <= ?
        ORDER BY name LIMIT ?"""
    from_hand = "SELECT name, id, used FROM names_$ WHERE name > ? ORDER BY name LIMIT ?"
    to_hand = "SELECT name, id, used FROM names_$ WHERE name <= ? ORDER BY name LIMIT ?"

    due_rows = """
        SELECT e.due, d.id, d.name, d.until
        FROM expiries_$ e CROSS JOIN data_$ d ON d.id = e.id
        WHERE e.due <= ? ORDER BY e.due LIMIT ?"""
    index_rows = """
        INSERT OR IGNORE INTO expiries_$ SELECT due, id FROM data_$
        WHERE id > ? AND due IS NOT NULL"""
    index_row = "INSERT OR IGNORE INTO expiries_$ VALUES (?, ?)"
    unindex_row = "DELETE FROM expiries_$ WHERE due = ? AND id = ?"

    #: Bytes of the file that nothing is in.
    free = "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"
    clear = """
        DELETE FROM names_$; DELETE FROM expiries_$; DELETE FROM data_$;
        INSERT INTO data_$ VALUES (1, 0, 0, 0, 0, NULL, NULL, NULL, NULL)"""

    def __init__(self, own: str) -> None:
        for name, statement in vars(Statements).items():
            if isinstance(statement, str) and not name.startswith("__"):
                setattr(self, name, statement.replace("$", own))
