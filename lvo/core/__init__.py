"""Value types that cross the stages: numpy only, frozen, no files, no clock."""
