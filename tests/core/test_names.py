"""The nearest name, in a sentence."""

from vidjax.core.names import counted, did_you_mean, nearest, no_such


def test_the_nearest_name_whatever_its_case():
    assert nearest("swiping left", ["Swiping Right", "Swiping Left"]) == "Swiping Left"
    assert nearest("qqq", ["abc"]) is None and nearest("abc", []) is None
    assert did_you_mean("jestr", ["jester"]) == " Did you mean 'jester'?"
    assert did_you_mean("qqq", ["jester"]) == ""


def test_the_sentence_lists_what_there_is():
    message = no_such("job", "trian", ["train", "report"])
    assert message == "There is no job 'trian'. Did you mean 'train'?\nThere are: train, report."
    many = [f"name{index}" for index in range(20)]
    assert "There are" not in no_such("thing", "zzz", many)
    assert "There are" in no_such("thing", "zzz", many, show=20)
    assert no_such("option", "x", []).endswith("There is none.")


def test_one_and_several():
    assert counted(1, "step") == "1 step" and counted(0, "step") == "0 steps"
    assert counted(1200, "class", plural="classes") == "1,200 classes"
