"""Networks that turn one image into another, one network a file. They touch no files."""
