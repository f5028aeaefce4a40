"""Face detection, tracking, landmarks and crops."""
