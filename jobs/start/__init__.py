"""What init looks at in a new user's files, and the settings that it guesses from them."""
