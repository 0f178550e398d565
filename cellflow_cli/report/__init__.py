"""Tables and figures of what others computed; reads, never trains."""
