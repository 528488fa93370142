"""Where images lie: folders, addresses, and several of them as one listing."""
