"""What people really bring, and what breaks: broken inputs, tampered model folders, kills."""
