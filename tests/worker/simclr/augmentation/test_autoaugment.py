"""AutoAugment: its policies, magnitudes and operations against torchvision's, its draws against their distribution."""

import math

import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torchvision.transforms import AutoAugment as TheirAutoAugment
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode

from tests.worker.simclr.augmentation.pictures import COUNT, drawn, eight_bit, images
from worker.simclr.augmentation.autoaugment import KINDS, AutoAugment
from worker.simclr.augmentation.policies import POLICIES

NAMES = list(KINDS)
THEIRS = {
    "imagenet": TheirAutoAugment(AutoAugmentPolicy.IMAGENET),
    "cifar10": TheirAutoAugment(AutoAugmentPolicy.CIFAR10),
}
GREY = [0.5, 0.5, 0.5]


def moved(image, *, angle=0.0, translate=(0, 0), shear=(0.0, 0.0), center=None):
    return reference.affine(
        image,
        angle=angle,
        translate=list(translate),
        scale=1.0,
        shear=list(shear),
        interpolation=InterpolationMode.NEAREST,
        fill=GREY,
        center=center,
    )


def their_operation(name, image, levels, value):
    """What torchvision's AutoAugment does with ``value``; Posterize and Equalize on 8-bit levels."""
    height, width = image.shape[-2:]
    match name:
        case "ShearX":
            return moved(image, shear=(math.degrees(math.atan(value)), 0.0), center=[0, 0])
        case "ShearY":
            return moved(image, shear=(0.0, math.degrees(math.atan(value))), center=[0, 0])
        case "TranslateX":
            return moved(image, translate=(int(value * width), 0))
        case "TranslateY":
            return moved(image, translate=(0, int(value * height)))
        case "Rotate":
            return reference.rotate(image, value, interpolation=InterpolationMode.NEAREST, fill=GREY)
        case "Brightness":
            return reference.adjust_brightness(image, 1 + value)
        case "Color":
            return reference.adjust_saturation(image, 1 + value)
        case "Contrast":
            return reference.adjust_contrast(image, 1 + value)
        case "Sharpness":
            return reference.adjust_sharpness(image, 1 + value)
        case "Posterize":
            return reference.posterize(levels, int(value)).float() / 255
        case "Solarize":
            return reference.solarize(image, value)
        case "AutoContrast":
            return reference.autocontrast(image)
        case "Equalize":
            return reference.equalize(levels).float() / 255
        case "Invert":
            return reference.invert(image)


@pytest.mark.parametrize("policy", ["imagenet", "cifar10"])
def test_the_policies_are_the_published_ones(policy):
    theirs = THEIRS[policy].policies
    ours = POLICIES[policy]
    assert len(ours) == len(theirs) == 25
    for our_pair, their_pair in zip(ours, theirs, strict=True):
        assert [(name, share) for name, share, _ in our_pair] == [(name, share) for name, share, _ in their_pair]
        for (name, _, magnitude), (_, _, their_magnitude) in zip(our_pair, their_pair, strict=True):
            assert magnitude == (their_magnitude or 0), name


def test_the_values_of_every_magnitude_are_torchvisions():
    width, height = 640, 480
    space = THEIRS["imagenet"]._augmentation_space(10, (height, width))
    assert set(space) == set(KINDS)
    units = {"TranslateX": width, "TranslateY": height, "Solarize": 255}
    for name, (theirs, signed) in space.items():
        assert KINDS[name].signed == signed
        ours = torch.tensor(KINDS[name].values, dtype=torch.float32) * units.get(name, 1)
        torch.testing.assert_close(ours, theirs.float().expand(10), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (30, 44)])
def test_each_operation_is_torchvisions_at_every_magnitude(name, height, width):
    kind = KINDS[name]
    signs = (1, -1) if kind.signed else (1,)
    values = torch.tensor([sign * value for value in kind.values for sign in signs])
    if name in {"Rotate", "ShearX", "ShearY"}:
        values *= 0.993  # else some samples lie in the middle between two pixels, and rounding decides between them
    batch, levels = eight_bit(images(len(values), height, width))
    ours = kind.transform(batch, values)
    for image, picture, value, result in zip(batch, levels, values.tolist(), ours, strict=True):
        theirs = their_operation(name, image, picture, value)
        differs = ((result - theirs).abs() > 1e-4).any(0).float().mean()
        assert differs <= (0.002 if name in {"Rotate", "ShearX", "ShearY"} else 0), value


def test_each_image_gets_its_own_pair_in_order():
    """One image for each pair of the policy, each operation applied: the pair's operations one after the other."""
    batch, _ = eight_bit(images(25))
    parameters = torch.tensor(
        [
            [number for name, _, magnitude in pair for number in (NAMES.index(name), KINDS[name].values[magnitude])]
            for pair in POLICIES["imagenet"]
        ]
    )
    ours = AutoAugment().apply(batch.clone(), parameters, 32)
    for image, row, result in zip(batch, parameters.tolist(), ours, strict=True):
        theirs = image
        for number, value in (row[:2], row[2:]):
            theirs = their_operation(NAMES[int(number)], theirs, (theirs * 255).round().to(torch.uint8), value)
        assert ((result - theirs).abs() > 5e-3).any(0).float().mean() < 0.02


def test_an_image_without_operations_stays_as_it_is():
    batch = images(2)
    assert torch.equal(AutoAugment().apply(batch.clone(), torch.tensor([[-1.0, 1, -1, 1]] * 2), 32), batch)
    assert (drawn(AutoAugment(probability=0), 50)[:, [0, 2]] == -1).all()


@pytest.mark.parametrize("policy", ["imagenet", "cifar10"])
def test_operations_are_drawn_as_often_as_the_policy_says(policy):
    parameters = drawn(AutoAugment(policy=policy))
    for slot in (0, 1):
        numbers, values = parameters[:, 2 * slot], parameters[:, 2 * slot + 1]
        expected = dict.fromkeys(NAMES, 0.0)
        for pair in POLICIES[policy]:
            expected[pair[slot][0]] += pair[slot][1] / 25
        for number, (name, share) in enumerate(expected.items()):
            applied = values[numbers == number]
            assert len(applied) / COUNT == pytest.approx(share, abs=0.012), name
            if KINDS[name].signed and share > 0.01:
                assert (applied[applied != 0] < 0).float().mean() == pytest.approx(0.5, abs=0.08), name
    assert ((parameters[:, 0] >= 0) & (drawn(AutoAugment(probability=0.5))[:, 0] == -1)).any()
