"""Errors of the user: the sentences, the exit codes, and what is a fault of ours."""

import errno

import pytest

from vidjax.core import errors

CODES = {
    errors.UserError: 2,
    errors.DataError: 3,
    errors.MissingData: 2,
    errors.ConvertError: 2,
    errors.ReportError: 2,
    errors.NonFiniteLoss: 4,
    errors.StorageError: 5,
    errors.Locked: 6,
    errors.Preempted: 143,
}


def raising(error):
    def main(argv):
        raise error

    return main


def test_every_error_has_its_exit_code_under_one_root():
    classes = {value for value in vars(errors).values() if isinstance(value, type)}
    of_users = {cls for cls in classes if issubclass(cls, errors.VidjaxError)}
    assert of_users - {errors.VidjaxError} == set(CODES)
    for cls, code in CODES.items():
        assert errors.guarded(raising(cls("x")), []) == code


def test_faults_are_told_singly_where_arrays_were_compared():
    error = errors.ConvertError("no:\n  a is missing", faults=("a is missing",))
    assert str(error) == "no:\n  a is missing" and error.faults == ("a is missing",)
    assert errors.ConvertError("damaged").faults == ()


def test_a_message_has_five_lines_at_most(capsys):
    assert errors.guarded(raising(errors.UserError("a\nb\nc\nd\ne\nf")), []) == 2
    assert capsys.readouterr().err.splitlines() == ["error: a", "b", "c", "d", "e"]


def test_the_stack_is_printed_if_asked_for(capsys):
    errors.guarded(raising(errors.UserError("x")), ["--trace"])
    assert "Traceback" in capsys.readouterr().err
    errors.guarded(raising(errors.UserError("x")), [])
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [TypeError("ours"), ValueError("ours"), OSError(errno.ENOENT)])
def test_a_fault_of_ours_keeps_its_stack(error):
    with pytest.raises(type(error)):
        errors.guarded(raising(error), [])


def test_a_full_disk_is_told_wherever_it_is_met(capsys):
    assert errors.guarded(raising(OSError(errno.ENOSPC, "No space left")), []) == 5
    assert "No space left" in capsys.readouterr().err


def test_an_interruption_and_an_end():
    assert errors.guarded(raising(KeyboardInterrupt()), []) == 130
    assert errors.guarded(lambda argv: None, []) == 0
