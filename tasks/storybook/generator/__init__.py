"""The generated part of the storybook: stories that are planned before they are told."""

from tasks.storybook.generator.tell import generate_stories

__all__ = ["generate_stories"]
