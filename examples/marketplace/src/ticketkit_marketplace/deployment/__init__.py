"""Each service and the web client as a process of its own, behind one address: started, watched and ended together."""
