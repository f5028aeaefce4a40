"""Faces in pictures: found, tracked, landmarked and cropped."""
