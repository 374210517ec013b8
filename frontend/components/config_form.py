"""The form of an experiment, drawn from the config's schema, with each error at its field."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from backend.contracts.config import ExperimentConfig
from frontend.components.config_fields import (
    OPS,
    FormSection,
    all_fields,
    config_sections,
    optional_sections,
    transformation_sections,
)
from frontend.components.config_values import build, differences, flatten, op_values
from frontend.components.fields import draw_section, sentence
from frontend.components.kept_values import KeptValues
from frontend.components.text import plain
from frontend.components.transformations import TransformationList

_OPEN_SECTIONS = ("dataset", "augmentation", "training")


@dataclass(frozen=True)
class Draft:
    """What the form holds: a config, or the errors by field that stand against it."""

    config: ExperimentConfig | None
    errors: Mapping[str, str]


class ConfigForm:
    """One form. Its values live in the session under its name, and outlive a visit to another page."""

    def __init__(self, name: str) -> None:
        self._kept = KeptValues(name, flatten(ExperimentConfig()))
        self._ops = TransformationList(name, op_values(ExperimentConfig()))

    def prefill(self, config: ExperimentConfig) -> None:
        """Put a config's values in."""
        self._kept.put(flatten(config))
        self._ops.put(op_values(config))

    def read(self) -> Draft:
        """The config that the form holds now."""
        return Draft(*build(self._kept.read(), self._ops.read()))

    def draw(self, datasets: Sequence[str], errors: Mapping[str, str], *, leave_out: Sequence[str] = ()) -> None:
        """Draw the inputs; ``errors`` by path, ``leave_out`` the paths of fields that something else decides."""
        for section in config_sections():
            if section.path in _OPEN_SECTIONS:
                st.subheader(section.title, help=section.help)
                if section.path == "augmentation" and OPS not in leave_out:
                    self._ops.draw(errors)
                draw_section(section, self._kept, errors, datasets, leave_out)
                continue
            wrong = any(path.startswith(f"{section.path}.") for path in errors)
            with st.expander(section.title, expanded=wrong, key=self._kept.key_of(f"{section.path}:open")):
                st.caption(section.help)
                draw_section(section, self._kept, errors, datasets, leave_out)
            self._sum_up(section, wrong=wrong)

    def _sum_up(self, section: FormSection, *, wrong: bool) -> None:
        """A line on what differs from the defaults in a section that may be closed."""
        said = differences(section, self._kept.read())
        if wrong:
            st.caption(":red[Something here is to be mended.]")
        elif said:
            st.caption(plain(" · ".join(said)))


def in_words(errors: Mapping[str, str]) -> str:
    """The errors as a list in Markdown, with the fields' labels."""
    return "\n".join(f"- **{label_of(path)}**: {plain(sentence(message))}" for path, message in errors.items())


def label_of(path: str) -> str:
    """A field's section and label, such as ``Optimiser, Learning rate``; a transformation's place and parameter."""
    if path == OPS:
        return "Augmentation, Transformations"
    if path.startswith(f"{OPS}."):
        position, *parameter = path.removeprefix(f"{OPS}.").split(".")
        return ", ".join(["Augmentation", f"transformation {int(position) + 1}", *_parameter_labels(parameter)])
    sections = {section.path: section.title for top in config_sections() for section in top.walk()}
    if path in optional_sections():
        return sections[path]
    field = all_fields().get(path)
    return f"{sections[path.rsplit('.', 1)[0]]}, {field.label}" if field else plain(path)


def _parameter_labels(keys: Iterable[str]) -> list[str]:
    labels = {f.key: f.label for section in transformation_sections().values() for f in section.fields}
    return [labels.get(key, key) for key in keys]
