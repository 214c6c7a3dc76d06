"""The nouns: frozen, typed records; imports the standard library and msgspec only."""
