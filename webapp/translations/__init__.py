"""Translations of everything people see. `python -m webapp.translations` brings the catalogues up to date."""
