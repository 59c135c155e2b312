"""The demonstration: buyers go for the cheapest seats over HTTP, and then the books are checked."""
