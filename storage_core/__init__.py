"""All state of coin-hts: rows in PostgreSQL or SQLite, bars and results as Parquet files.

No Flask, no queue and no kernels here; pyarrow is imported only where a table is read or written, so a web
process at rest does not carry it.
"""
