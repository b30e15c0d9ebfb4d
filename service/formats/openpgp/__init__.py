"""OpenPGP as containers/image reads it: keys and signed messages, made without gpg."""
