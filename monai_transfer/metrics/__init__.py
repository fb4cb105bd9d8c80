"""Scores of a segmentation: per region of a subject, per voxel of a cohort, and their table."""
