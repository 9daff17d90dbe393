"""The world that the house models are to know: things in three styles, in scenes with counts, sizes and relations."""
