"""What is imported is kept from the garbage collector, and the collector goes on."""
import gc

import pytest

from tfold.importing import uncollected


def test_no_collection_within_and_none_of_what_was_made_there():
    was = gc.isenabled()
    gc.enable()
    try:
        before = gc.get_freeze_count()
        with uncollected():
            assert not gc.isenabled()
            made = [[] for _ in range(1000)]
        assert gc.isenabled() and gc.get_freeze_count() >= before + len(made)
        gc.disable()
        with pytest.raises(ImportError), uncollected():
            raise ImportError
        assert not gc.isenabled()  # as it was found
    finally:
        (gc.enable if was else gc.disable)()
