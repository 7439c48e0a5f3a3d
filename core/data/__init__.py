"""Input and output: images, formats, snapshots, arrays, exports."""
