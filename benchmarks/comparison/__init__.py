"""What a user with a table could pick: methods of this package beside rivals, on 36 tables in two halves."""
