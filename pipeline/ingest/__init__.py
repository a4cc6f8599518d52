"""Files of rows to one table of checked text: every line and file is accounted for."""
