"""How the shipped assets were made. Imported by nothing that runs; see README.md here."""
