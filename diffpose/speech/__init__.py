"""Speech analysis: measurements by rules and features of speech encoders, offline or streamed."""
