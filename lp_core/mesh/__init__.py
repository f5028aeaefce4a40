"""The mesh renderer: a dense warp of the photograph driven by face landmarks, without network weights."""
