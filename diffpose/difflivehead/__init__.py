"""DiffLiveHead: hazard-10's variant of the DiffPoseTalk family."""
