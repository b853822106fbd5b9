"""Running code abstractly: what names hold at each point, and where values go."""
