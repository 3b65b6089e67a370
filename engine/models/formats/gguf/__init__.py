"""GGUF: one file (or a numbered set of files) with a model's weights in blocks, its sizes and its tokenizer.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""
