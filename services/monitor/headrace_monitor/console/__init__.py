"""The console: one page that shows the loop live."""
