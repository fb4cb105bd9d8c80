import json

import ignite.distributed as idist
import pytest
import torch
from monai.handlers import ValidationHandler

from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet
from monai_transfer.training import (
    DecayingWeightCrossEntropy,
    History,
    RunRecord,
    conclude,
    console,
    on_device,
    prepare,
    prepare_inference,
    rank_device,
    read_status,
    run,
    save_checkpoint,
)
from monai_transfer.training.run import load_best
from monai_transfer.transfer import Adaptation, Source, adapt

MODALITIES = ["t1", "flair"]


@pytest.fixture
def adaptation() -> Adaptation:
    torch.manual_seed(0)
    network = PathologyUNet(2, 3, filters=2, resolution_steps=2)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    source = Source("lesions", state, tuple(MODALITIES), "ab" * 32)
    return adapt(network, source, strategy="decoder", modalities=MODALITIES)


@pytest.fixture
def record(tmp_path) -> RunRecord:
    return RunRecord(tmp_path / "run", {"seed": 0})


@pytest.fixture
def history(tmp_path, scripted_trainer, scripted_validator) -> History:
    validator, trainer = scripted_validator([0.5, 0.25]), scripted_trainer([2.0, 1.0])
    history = History(tmp_path / "run" / "history.csv", validator)
    history.attach(trainer)
    ValidationHandler(1, validator).attach(trainer)
    trainer.run(range(1), max_epochs=2)
    return history


def keep(weights: dict[str, torch.Tensor] | None, record: RunRecord) -> None:
    """Leave the checkpoint of a training with these best weights."""
    best = {"weights": weights, "metric": 0.5, "epoch": 2}
    save_checkpoint({"states": {"best": best}}, record.output_dir / "checkpoint.pt")


def changed(adaptation: Adaptation, name: str) -> dict[str, torch.Tensor]:
    """The network's weights, one value of one tensor another."""
    state = {key: value.clone() for key, value in adaptation.network.state_dict().items()}
    state[name].view(-1)[0] += 1
    return state


def test_on_device_lays_weights_out_channels_last_and_changes_no_value():
    torch.manual_seed(0)
    plain = PathologyUNet(2, 3, filters=2, resolution_steps=2)
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    network = on_device(plain, torch.device("cpu"))
    assert network is plain
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
        if value.ndim == 5:
            assert value.is_contiguous(memory_format=torch.channels_last_3d)


def test_on_device_serves_networks_of_slices_of_volumes_and_of_both():
    both = torch.nn.ModuleList([torch.nn.Conv2d(2, 3, 3), torch.nn.Conv3d(2, 3, 3)])
    network = on_device(both, torch.device("cpu"))
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert not network[0].weight.is_contiguous()


def test_on_device_serves_weights_of_one_channel():
    network = on_device(torch.nn.Conv2d(1, 3, 3), torch.device("cpu"))
    assert network.weight.stride() == (9, 1, 3, 1)


def test_on_device_keeps_the_proof_of_freezing(adaptation):
    on_device(adaptation.network, torch.device("cpu"))
    adaptation.verify()


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(idist, "get_local_rank", lambda: 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert rank_device() == torch.device("cuda:3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert rank_device() == torch.device("cpu")


def test_the_transfer_report_is_printed_and_saved_before_training(adaptation, record):
    with console.capture() as printed:
        prepare(adaptation, record)
    assert "Transfer: lesions, strategy decoder" in printed.get()
    saved = json.loads((record.output_dir / "transfer.json").read_text("utf-8"))
    assert saved == json.loads(adaptation.report.to_json())
    left = {path.name for path in record.output_dir.iterdir()}
    assert left == {"transfer.json", "status.json", ".lock"}
    assert read_status(record.output_dir).state == "running"


def test_the_best_weights_come_back_after_training(adaptation, record):
    best = changed(adaptation, "head.output.bias")
    keep(best, record)
    load_best(adaptation, record)
    for name, value in adaptation.network.state_dict().items():
        assert torch.equal(value, best[name]), name


FROZEN = ["encoder.steps.0.0.weight", "encoder.pools.1.1.running_var"]


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_tensor_that_training_moved_is_an_error(name, adaptation, record):
    keep(adaptation.network.state_dict(), record)
    adaptation.network.load_state_dict(changed(adaptation, name))
    with pytest.raises(InputError, match=f"bit-identical after training, got {name}"):
        load_best(adaptation, record)


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_tensor_that_differs_in_the_kept_weights_is_an_error(name, adaptation, record):
    keep(changed(adaptation, name), record)
    with pytest.raises(InputError, match=f"bit-identical after training, got {name}"):
        load_best(adaptation, record)


def test_a_training_that_was_never_validated_has_no_best_weights(adaptation, record):
    keep(None, record)
    with pytest.raises(InputError, match=r"at least one epoch must be validated.* --val_interval"):
        load_best(adaptation, record)


def test_the_end_leaves_a_curve_and_a_record_and_says_where(adaptation, record, history):
    with console.capture() as printed:
        prepare(adaptation, record)
        keep(None, record)
        conclude(adaptation, record, history, datalist_sha256="cd")
    files = {path.name for path in record.output_dir.iterdir()}
    curves = {"history.csv", "learning_curve.png"}
    assert files == {"model.pt", "run.json", "status.json", "transfer.json", *curves}
    assert read_status(record.output_dir).state == "done"
    published = torch.load(record.output_dir / "model.pt", weights_only=True)
    for name, value in adaptation.network.state_dict().items():
        assert torch.equal(value, published[name]), name
    content = json.loads((record.output_dir / "run.json").read_text("utf-8"))
    assert content["datalist_sha256"] == "cd"
    assert f"{len(adaptation.frozen)} frozen tensors are bit-identical" in printed.get()
    where = f"Everything is in {record.output_dir}: history.csv, learning_curve.png"
    assert where in printed.get()


def test_a_training_whose_class_weights_are_still_high_ends_with_a_warning(
    adaptation, record, history
):
    with console.capture() as printed:
        prepare(adaptation, record)
        keep(None, record)
        loss = DecayingWeightCrossEntropy([1.0, 401.0], decay=0.5)
        conclude(adaptation, record, history, loss=loss)  # of two epochs
    assert "Class weights come down to 201.0 only" in printed.get()


def test_the_last_line_names_a_dozen_files_of_many(adaptation, record):
    record.output_dir.mkdir(parents=True)
    for number in range(14):
        (record.output_dir / f"sub-{number:02}.nii.gz").touch()
    with console.capture() as printed:
        conclude(adaptation, record)
    assert (
        printed.get()
        .rstrip()
        .endswith(
            "run.json, sub-00.nii.gz, sub-01.nii.gz, sub-02.nii.gz, "
            "sub-03.nii.gz, sub-04.nii.gz, sub-05.nii.gz, sub-06.nii.gz, sub-07.nii.gz, "
            "sub-08.nii.gz, sub-09.nii.gz, sub-10.nii.gz and 3 more"
        )
    )


@pytest.mark.parametrize(("spacing_mm", "grid"), [(1.0, "1 mm"), (None, "each image's own grid")])
def test_an_inference_says_how_many_subjects_at_which_grid_with_which_weights(
    spacing_mm, grid, record
):
    with console.capture() as printed:
        prepare_inference([{}, {}], record, weights="[a]/model.pt", spacing_mm=spacing_mm)
    assert printed.get() == f"Inference: 2 subjects at {grid} with [a]/model.pt\n"
    assert read_status(record.output_dir).state == "running"


def test_an_evaluation_ends_without_a_curve(adaptation, record):
    with console.capture() as printed:
        conclude(adaptation, record)
    assert [path.name for path in record.output_dir.iterdir()] == ["run.json"]
    assert "frozen" not in printed.get()


def test_nothing_is_said_of_frozen_tensors_where_there_are_none(record, history):
    network = PathologyUNet(2, 3, filters=2, resolution_steps=2)
    scratch = adapt(network, strategy="scratch", modalities=MODALITIES)
    with console.capture() as printed:
        conclude(scratch, record, history)
    assert "frozen tensors" not in printed.get()


def test_a_folder_with_brackets_in_its_name_is_named_as_it_is(adaptation, tmp_path):
    record = RunRecord(tmp_path / "[red]" / "run[1]", {})
    with console.capture() as printed:
        conclude(adaptation, record)
    assert f"Everything is in {tmp_path}/[red]/run[1]: run.json" in printed.get()


def test_a_run_that_cannot_be_concluded_publishes_nothing(adaptation, record, history, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "learning_curve", full)
    with console.capture():
        prepare(adaptation, record)
        with pytest.raises(OSError, match="No space left"):
            conclude(adaptation, record, history)
    assert not (record.output_dir / "model.pt").exists()
    status = read_status(record.output_dir)
    assert (status.state, status.reason) == ("failed", "OSError: No space left on device")


def test_only_the_first_of_several_processes_writes(adaptation, record, history, monkeypatch):
    (record.output_dir / "history.csv").unlink()
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    with console.capture() as printed:
        prepare(adaptation, record)
        conclude(adaptation, record, history)
    assert list(record.output_dir.iterdir()) == []
    assert printed.get() == ""
