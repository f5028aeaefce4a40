"""Device, precision and acceleration of networks, and the transfer of frames to the host."""
