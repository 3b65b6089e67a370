"""Formats that models come in, each read where it is declared. A folder with safetensors is read by transformers."""
