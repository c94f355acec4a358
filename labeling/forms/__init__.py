"""What people fill in. A form checks shape; whether a thing may be done is the verb's to say."""
