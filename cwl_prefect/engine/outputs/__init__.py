"""What calls and runs leave behind: checked, explained where it failed, delivered."""
