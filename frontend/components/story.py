"""What a study shows, in sentences made from its measured numbers."""

import pandas as pd

from backend.contracts.runs import ENDED
from backend.contracts.studies import StudyResults
from frontend.charts.accuracy import METRICS, accuracy_points, augmentation_axis
from frontend.components.text import plain
from frontend.components.words import count


def is_finished(results: StudyResults) -> bool:
    """Whether no run of the study will change by itself any more."""
    return all(result.run.state in ENDED for result in results.results)


def tell(results: StudyResults, metric: str = "linear_top1") -> list[str]:
    """Sentences on which augmentation and which batch size is best, and by how much, for a finished study."""
    points = accuracy_points(results, metric)
    if points.empty:
        return ["No run of this study has a result."]
    missing = len(results.results) - len(points)
    told = [
        *_on_augmentation(results, points, metric),
        *_on_batch_size(points, metric),
        *_on_chance(points),
    ]
    if missing:
        told.append(
            f"{count(missing, 'run')} of {len(results.results)} ended without a result and {_is(missing)} left out."
        )
    return told


def _on_augmentation(results: StudyResults, points: pd.DataFrame, metric: str) -> list[str]:
    means = points.groupby("augmentation")["accuracy"].mean().sort_values(ascending=False)
    runs = points.groupby("augmentation")["accuracy"].count()
    name = METRICS[metric].replace("Linear", "linear")
    best = str(means.index[0])
    dataset = results.study.base.dataset.name
    average = f", the mean of {runs[best]} runs" if runs[best] > 1 else ", in one run"
    told = [f"**{plain(best)}** reached **{means.iloc[0]:.1%}** {name} on {dataset}{average}."]
    if len(means) > 1:
        gaps = [
            f"{100 * (means.iloc[0] - value):.1f} points above {plain(str(label))} ({value:.1%})"
            for label, value in means[1:].items()
        ]
        told.append(f"That is {_listed(gaps)}.")
    untrained = points["untrained"].dropna()
    if len(untrained):
        level = untrained.mean()
        told.append(f"The same net untrained reaches {level:.1%}.")
        below = [plain(str(label)) for label, value in means.items() if value < level]
        if below:
            told.append(f"Training with {_listed(below)} alone left the net below that.")
    if augmentation_axis(results.study) and _is_the_papers_point(means):
        told.append(
            "This is the paper's point (section 3.1, Figure 5): neither cropping nor colour distortion is enough, together "
            "they are. Crops of one image share their colours, so without colour distortion the net can tell "
            "images apart by their colours alone."
        )
    return told


def _is_the_papers_point(means: pd.Series) -> bool:
    """Crop and colour together stand first, and each of them alone was measured."""
    parts = {str(label): set(str(label).lower().replace("color", "colour").split(" + ")) for label in means.index}
    bare = [labels - {"flip"} for labels in parts.values()]
    return {"crop", "colour"} <= bare[0] and {"crop"} in bare and {"colour"} in bare


def _on_batch_size(points: pd.DataFrame, metric: str) -> list[str]:
    if points["batch_size"].nunique() < 2:
        return []
    best = points.groupby("augmentation")["accuracy"].mean().idxmax()
    means = points[points["augmentation"] == best].groupby("batch_size")["accuracy"].mean()
    listed = _listed([f"{value:.1%} at {size:,}" for size, value in means.items()])
    return [f"With {plain(str(best))}, {METRICS[metric].replace('Linear', 'linear')} by batch size: {listed}."]


def _on_chance(points: pd.DataFrame) -> list[str]:
    seeds = points.groupby(["augmentation", "batch_size", "series"])["accuracy"].count()
    if seeds.max() == 1:
        return ["Each setting ran with one seed: small gaps may be chance. Several seeds would show the spread."]
    spread = points.groupby(["augmentation", "batch_size", "series"])["accuracy"].agg(lambda a: a.max() - a.min())
    return [f"Over the seeds of one setting, accuracy differed by at most {100 * spread.max():.1f} points."]


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
