"""A line for each of a few α, a row of colour for each of many."""
import pytest

from tfold.report import alphas_picture


@pytest.mark.parametrize("count", [1, alphas_picture.MOST_LINES, alphas_picture.MOST_LINES + 1, 40])
def test_a_picture_of_any_number_of_alphas(tmp_path, count):
    history = [{"epoch": epoch, "alphas": {f"relu_{i}": min(1.0, i * (epoch + 1) / 40) for i in range(count)}}
               for epoch in range(-1, 3)]
    alphas_picture.draw(history, tmp_path / "alphas.png", "a title")
    content = (tmp_path / "alphas.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    height = int.from_bytes(content[20:24], "big")
    assert abs(height - 120 * (5 if count <= alphas_picture.MOST_LINES else 1.5 + 0.22 * count)) <= 1
