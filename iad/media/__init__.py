"""Photos and videos, in and out, and what their files say of where they come from."""
