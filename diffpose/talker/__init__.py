"""The light lip driver: mel windows to expression coefficients to lip keypoints."""
