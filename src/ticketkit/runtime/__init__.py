"""Settings and composition: opens backends, runs services over them, carries their events."""
