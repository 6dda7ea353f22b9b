"""Fine-tunes the base model with LoRA on Ray Train."""
