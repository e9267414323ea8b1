"""Readers: one file a format, each a generator of rows that holds one row (or batch) at a time.

Promise: a reader either gives a row as it stands in the source or raises a DataError that names
file and line; it never skips, cuts or repairs in silence (blank lines apart).
"""
