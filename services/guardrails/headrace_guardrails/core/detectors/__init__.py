"""Detectors of personal data, one kind a file; each is `find(text) -> Iterator[Finding]`.

A match never holds more than one line, and apart from an e-mail address it is made of words that
`window.is_suspicious` knows: the hold-back window of streamed answers relies on that.
"""
