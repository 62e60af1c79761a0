"""What the service talks about: apps, credentials, users, devices, notifications, operations. No I/O."""
