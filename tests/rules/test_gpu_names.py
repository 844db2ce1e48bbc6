"""The names of cards: every spelling of drivers, shops and people means its card; what others serve is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generator.errors import InputError
from generator.facts.gpu import card_of, key_of, resolve_gpu, served_elsewhere, sizes_of
from generator.readers.document import read_yaml
from generator.rulebook.book import load
from generator.spec.deployment import read_spec

DATA: dict[str, Any] = read_yaml(Path(__file__).resolve().parents[1] / "data" / "gpu_spellings.yaml").data
BOOK = load()


def _pairs(section: str) -> list[tuple[str, Any]]:
    return [(str(word), wanted) for wanted, words in DATA[section].items() for word in words]


@pytest.mark.parametrize(("spelled", "card"), _pairs("cards"))
def test_a_spelling_means_its_card(spelled: str, card: str) -> None:
    assert card_of(BOOK, spelled) == card
    assert card_of(BOOK, spelled.upper()) == card
    assert card_of(BOOK, f"NVIDIA {spelled}".replace("NVIDIA NVIDIA", "NVIDIA")) == card


def test_no_two_cards_share_a_spelling() -> None:
    """Also without the words that tell nothing."""
    owner: dict[str, str] = {}
    for name, entry in BOOK.section("gpus").items():
        for word in (name, *entry.get("aliases", ())):
            assert owner.setdefault(key_of(BOOK, word), name) == name, word


@pytest.mark.parametrize(("name", "some"), [(str(name), some) for name, some in DATA["several"].items()])
def test_a_name_that_several_cards_have_names_them(name: str, some: list[str]) -> None:
    assert card_of(BOOK, name) is None
    assert set(some) <= set(sizes_of(BOOK, name))


@pytest.mark.parametrize(("spelled", "use"), _pairs("elsewhere"))
def test_what_others_serve_is_refused_with_what_serves_it(spelled: str, use: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(f'model: a/b\nhardware: {{gpu: "{spelled}"}}\n', encoding="utf-8")
    with pytest.raises(InputError) as raised:
        resolve_gpu(read_spec(tmp_path / "spec.yaml"), BOOK)
    assert raised.value.problems[0].code == "unsupported-gpu"
    assert use in raised.value.problems[0].message


@pytest.mark.parametrize("name", BOOK.section("gpus"))
def test_no_card_of_the_catalogue_is_served_elsewhere(name: str) -> None:
    for word in (name, *BOOK.section("gpus")[name].get("aliases", ())):
        assert served_elsewhere(BOOK, word) is None, word
