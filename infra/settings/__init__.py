"""The one settings object, and the rules of what each setting may be."""
