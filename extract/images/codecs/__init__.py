"""Which files are images, and what each format promises about its own wholeness."""
