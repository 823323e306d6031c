"""The paper's rotation study."""
