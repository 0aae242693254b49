"""Heat maps, overlays, panels and animations, from rows and maps."""
