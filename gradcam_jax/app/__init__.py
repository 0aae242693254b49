"""One run of the program, a task a file: options in, pictures and numbers in a folder out."""
