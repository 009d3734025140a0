"""Rows behind ``sample://``; README.md beside this file says where each file comes from."""
