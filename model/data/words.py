"""Words of a prompt that fit no field, such as "stripped", with the facts of a simulated scan that they state.

Simulated scans know these facts, so that the text encoder can learn the words from them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

# What is true of a scan, and the words that say so; all as they are left over from a prompt, in lower case.
MEANINGS: Mapping[str, tuple[str, ...]] = {
    "stripped": ("stripped", "skullstripped", "skull-stripped", "extracted"),
    "with skull": ("skull", "unstripped"),
    "thick slices": ("thick", "anisotropic"),
    "healthy": ("healthy", "control", "normal"),
    "ms": ("sclerosis", "ms", "demyelination", "plaques"),
    "lacunes": ("lacunes", "lacunar", "infarcts"),
    "small_vessel": ("leukoaraiosis", "hyperintensities", "microangiopathy"),
    "tumour": ("tumour", "tumor", "glioma", "glioblastoma"),
    "spoiled_gradient_echo": ("spoiled", "flash", "gradient"),
    "t2star": ("gradient", "gre"),
    "spin_echo": ("spinecho",),
    "fast_spin_echo": ("turbo", "rare"),
    "inversion_recovery": ("inversion", "recovery"),
    "mprage": ("inversion", "magnetization-prepared"),
}
ALL_WORDS = tuple(sorted({word for words in MEANINGS.values() for word in words}))


def true_words(facts: Collection[str]) -> frozenset[str]:
    """Return every word that is true where these facts, keys of `MEANINGS`, hold."""
    return frozenset(word for fact in facts for word in MEANINGS.get(fact, ()))
