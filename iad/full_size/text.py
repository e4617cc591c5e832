"""Prompts -> token states of the base's own T5, which T and the base transformer both read."""

import torch

from iad.config import TextConfig
from iad.text import TextEncoder, TextStates


class T5TextEncoder(TextEncoder):
    """The text encoder of a CogVideoX pipeline, wherever its memory mode has put it."""

    def __init__(self, config: TextConfig, pipeline):
        super().__init__(config)
        self.pipeline = pipeline

    @torch.no_grad()
    def encode(self, texts: list[str]) -> TextStates:
        """Encode texts, padded or cut to `tokens` tokens."""
        tokenizer = self.pipeline.tokenizer
        whole = [len(tokenizer(text).input_ids) for text in texts]
        states, _ = self.pipeline.encode_prompt(
            texts, do_classifier_free_guidance=False, max_sequence_length=self.tokens
        )
        lengths = torch.tensor(whole, device=states.device)
        mask = torch.arange(self.tokens, device=states.device)[None] < lengths[:, None]
        return TextStates(states.float(), mask, tuple(length > self.tokens for length in whole))

    def to(self, device: torch.device | str) -> "T5TextEncoder":
        """Stay where the memory mode has put it."""
        return self
