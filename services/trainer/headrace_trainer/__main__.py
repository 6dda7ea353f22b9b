"""Run the trainer."""

from headrace_trainer.app import build

build().run()
