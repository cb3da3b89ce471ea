"""The model's way out: a folder for transformers and vLLM, a file for llama.cpp, an adapter for PEFT."""
