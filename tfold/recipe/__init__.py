"""Layer Folding as a recipe: images in, base network, α, folded network, resumed where it was cut off.

    load_data("cifar10" | data.npz | folder/) ─▶ Data ─▶ train_base() ─▶ layer_folding() ─▶ Outcome
"""
