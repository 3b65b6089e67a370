"""Linears with weights in other layouts and number formats than PyTorch's own, chosen by trial on this machine."""
