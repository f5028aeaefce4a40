"""What a voice tells: analysis by rules, features of speech encoders, whole or streamed."""
