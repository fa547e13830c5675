"""What a study's report is made of; see ``report.study.page``."""
