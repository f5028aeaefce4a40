"""Where networks run, how precisely, and how frames reach the host."""
