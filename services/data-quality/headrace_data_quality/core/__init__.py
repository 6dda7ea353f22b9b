"""The domain of data-quality: rules, curation, profiles."""
