"""The five services: what each does when it is asked, and what it does when it hears an event."""
