"""A training run shown in other programs while it goes on. Promise: a mirror stops no run, and changes no bit of it."""
