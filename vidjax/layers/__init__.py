"""What families of networks share: the style, normalisation, and blocks of layers."""
