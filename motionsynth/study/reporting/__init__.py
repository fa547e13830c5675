"""What a study's report is made of; see ``study.report``."""
