"""The world that the house models are to know: things in a few styles, in scenes with counts, sizes and relations."""
