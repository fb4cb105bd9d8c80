"""A run's adapted model as a bundle of its own, to be shared."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ckpt_export

from monai_transfer.bundle.location import config_files
from monai_transfer.bundle.options import OPTIONS
from monai_transfer.bundle.references import changed, normalised, references, unfold
from monai_transfer.bundle.torchscript import without_debug_records
from monai_transfer.errors import InputError
from monai_transfer.imaging import StandardScale, write_standard_scale
from monai_transfer.imaging.nyul import SCALE_FILE
from monai_transfer.metrics import read_csv, summary
from monai_transfer.training import save_atomically
from monai_transfer.transfer import adapt, read_source

_PER_RUN = {"dataset_dir", "datalist", "manifest", "output_dir", "source", "weights", "num_workers"}
_CARRIED = {*OPTIONS, "strategy", "amp", "label_names", "network_def"} - _PER_RUN
_DECISIVE = ("preprocessing", "test", "inferer")
"""Sections that inference repeats: an override inside them would be lost on the way."""

_SCRIPTED = "torchscript_def"
"""What TorchScript is made of, where that is another form of the network: of whole slices."""


@dataclass(frozen=True)
class _Run:
    """What is told about a run by the files beside its weights."""

    record: Mapping[str, Any]
    config: Mapping[str, Any]
    score: str | None

    @property
    def about(self) -> Mapping[str, Any]:
        """The data set, see :meth:`~monai_transfer.bundle.cohort.Cohort.about`."""
        about: Mapping[str, Any] = self.record.get("data", {})
        return about

    @property
    def data(self) -> str:
        """Name of the data set, and whether it is simulated."""
        return f"{self.about.get('name', 'unnamed data')}{' (simulated)' * self.simulated}"

    @property
    def simulated(self) -> bool:
        return bool(self.about.get("simulated"))

    @property
    def scale(self) -> StandardScale | None:
        """That the data were brought to; ``None`` leaves the bundle's own, if it has one."""
        told = self.about.get("standard_scale")
        return None if told is None else StandardScale.from_json(json.dumps(told))


def export(bundle_dir: str | Path, weights: str | Path, *, output: str | Path) -> Path:
    """Write a new bundle of an adapted model: folder or zip, complete and without a path of yours.

    It holds the bundle's files (links followed) with the options that the run was made with, the
    run's weights as ``models/model.pt`` and ``models/model.ts`` (TorchScript, which needs nothing
    but torch), and the run's score and transfer record in the metadata. The standard scale is that
    which the run's data were brought to; the bundle's own if they were brought to none.

    Args:
        bundle_dir: the bundle that was run.
        weights: ``model.pt`` in the run's folder, with ``run.json`` beside it.
        output: a new folder, or a new file ending in ``.zip``; its name is the new bundle's.

    Returns:
        `output`.

    Raises:
        InputError: something is there already, weights without a run's record or of another
            network, or a run with an override that the bundle's inference would not repeat.

    Example:
        A run's weights as a bundle to send to a colleague::

            export("bundles/brats_ft", "runs/brats_ft/first/model.pt", output="our_tumours.zip")
    """
    origin, target = Path(bundle_dir).resolve(), Path(output)
    if target.exists():
        raise InputError("export", "output", "be new", got=target.name, todo="Remove it first.")
    run = _read_run(Path(weights), origin)
    with _staging(target) as staged:
        _copy_files(origin, staged, run)
        _describe(origin, staged, run)
        _write_models(staged, Path(weights))
        for link in origin.iterdir():
            if link.is_file() and (staged / "configs" / link.name).is_file():
                shutil.copyfile(staged / "configs" / link.name, staged / link.name)
    return target


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A folder that becomes the target, or its zip, once it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        staged = aside / (target.stem if target.suffix == ".zip" else target.name)
        staged.mkdir()
        yield staged
        if target.suffix == ".zip":
            base = shutil.make_archive(str(aside / "archive"), "zip", aside, staged.name)
            Path(base).replace(target)
        else:
            staged.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _read_run(weights: Path, origin: Path) -> _Run:
    record = weights.parent / "run.json"
    for path, rule in ((weights, "exist"), (record, "lie beside the weights")):
        if not path.is_file():
            raise InputError("export", path.name, rule, todo="Name model.pt in a run's folder.")
    content = json.loads(record.read_text("utf-8"))
    run = _Run(content, normalised(content["config"]), _score(weights.parent, content))
    written = [normalised(unfold(_json(path))) for path in config_files(origin / "configs")]
    lost = [i for i in changed(run.config, written) if i[0] in _DECISIVE]
    if lost:
        rule = "be what the bundle's files say, for inference repeats them"
        todo = "Put the change into a copy of the bundle, and export that."
        raise InputError("export", "#".join(lost[0]), rule, got="an override", todo=todo)
    return run


_SCORES = {"Dice": "dice", "SSIM": "ssim", "AUC": "auc"}
"""What the page of a bundle calls a column of ``metrics.csv``; the first that is there counts."""

_LISTED = 8
"""Regions whose scores are told one by one; of more, the mean is."""


def _score(folder: Path, record: Mapping[str, Any]) -> str | None:
    """Mean Dice, or what its test has instead, by region; ``None`` for a run without a test.

    Regions without a defined score, as structures that all slices show, are left out.
    """
    table = folder / "metrics.csv"
    if not table.is_file():
        return None
    frame = read_csv(table)
    name, metric = next(pair for pair in _SCORES.items() if pair[1] in frame)
    rows = summary(frame)
    scored = rows[(rows["metric"] == metric) & (rows["n"] > 0)]
    means = ", ".join(f"{row.region} {row.mean:.2f}" for row in scored.itertuples())
    if len(scored) > _LISTED:
        means = f"{scored['mean'].mean():.2f}, mean over {len(scored)} regions,"
    if not len(scored):
        means = "undefined"
    kind = "simulated " if record.get("data", {}).get("simulated") else ""
    subjects = frame["subject"].nunique()
    return f"{name} {means} on {subjects} {kind}test subject{'s' * (subjects > 1)}"


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _copy_files(origin: Path, staged: Path, run: _Run) -> None:
    """Configs with the run's options, the scale of its data, documents and licence."""
    skipped = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(origin / "configs", staged / "configs", ignore=skipped)
    if (origin / "docs").is_dir():
        shutil.copytree(origin / "docs", staged / "docs", ignore=skipped)
    if (origin / "LICENSE").is_file():
        shutil.copyfile(origin / "LICENSE", staged / "LICENSE")
    if run.scale is not None:
        write_standard_scale(run.scale, staged / "configs" / SCALE_FILE)
    for path in config_files(staged / "configs"):
        content = _json(path)
        if "imports" not in content:  # laid over another: it says what it says
            continue
        chosen = {k: run.config[k] for k in content if k in _CARRIED and k in run.config}
        if "network_def" in chosen:
            chosen["network_def"] = _known(chosen["network_def"], content)
        new = _known(chosen, content)
        if normalised(content) != normalised(content | new):
            path.write_text(json.dumps(content | new, indent=4) + "\n", "utf-8")


def _known(entries: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Entries without those that refer to what a config does not have: dropout's rate."""
    return {k: v for k, v in entries.items() if all(i[0] in content for i in references(v))}


def _describe(origin: Path, staged: Path, run: _Run) -> None:
    """Metadata and a page that say what this model is, not what it was made from."""
    path = staged / "configs" / "metadata.json"
    metadata = _json(path)
    report, versions = run.record["transfer"], run.record["versions"]
    made = f"{origin.name} {metadata['version']}, adapted to {run.data}"
    strategy = report["strategy"]["name"]
    task = metadata["task"].partition(", by transfer")[0]
    simulated = " The weights were trained on simulated images." if run.simulated else ""
    metadata |= {
        "version": "0.1.0",
        "changelog": {"0.1.0": made},
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"].partition("+")[0],
        "numpy_version": versions["numpy"],
        "task": task,
        "description": f"{metadata['description']} Adapted to {run.data}.",
        "intended_use": f"Research only.{simulated}",
        "transfer": {
            "made_from": made,
            "source": report["source"],
            "source_sha256": report["source_sha256"],
            "strategy": strategy,
            "cases": run.config.get("cases"),
            "seed": run.config.get("seed"),
            "data": {k: v for k, v in run.about.items() if k != "standard_scale"},
            "totals": report["totals"],
            "score": run.score,
        },
    }
    _describe_channels(metadata["network_data_format"], run)
    path.write_text(json.dumps(metadata, indent=4) + "\n", "utf-8")
    page = staged / "docs" / "README.md"
    page.parent.mkdir(exist_ok=True)
    rest = page.read_text("utf-8") if page.is_file() else ""
    facts = f"- Made from {made}\n- Source: {report['source'] or 'none'}; strategy: {strategy}\n"
    facts += f"- Score: {run.score or 'not tested'}\n"
    what = f"# {staged.name}\n\n{metadata['description']}\n\n{facts}"
    page.write_text(f"{what}\nWhat follows is the page of {origin.name}.\n\n{rest}", "utf-8")


def _describe_channels(formats: dict[str, Any], run: _Run) -> None:
    config, image, pred = run.config, formats["inputs"]["image"], formats["outputs"]["pred"]
    names = {"0": "background"} | config.get("label_names", {})
    told = [names.get(str(v), str(v)) for v in config.get("label_values", ())]
    if pred["format"] == "classes":  # of what is present: the background always is
        told.remove(names["0"])
    modalities = run.about.get("modalities") or config["modalities"]
    for tensor, channels in ((image, modalities), (pred, told or modalities)):
        tensor["num_channels"] = len(channels)
        tensor["channel_def"] = {str(i): name for i, name in enumerate(channels)}


def _write_models(staged: Path, weights: Path) -> None:
    """The weights as a plain state dict, proved to fit, and as TorchScript."""
    parser = ConfigParser()
    parser.read_config(str(staged / "configs" / "inference.json"))
    parser["bundle_root"] = str(staged)
    network = parser.get_parsed_content("network_def")
    source = read_source(weights)
    adapt(network, source, strategy="direct", modalities=parser.get_parsed_content("modalities"))
    models = staged / "models"
    save_atomically(dict(source.state), models / "model.pt")
    ckpt_export(
        net_id=_SCRIPTED if _SCRIPTED in parser else "network_def",
        filepath=str(models / "model.ts"),
        ckpt_file=str(models / "model.pt"),
        meta_file=str(staged / "configs" / "metadata.json"),
        config_file=[str(staged / "configs" / "inference.json")],
        bundle_root=str(staged),
    )
    without_debug_records(models / "model.ts")
