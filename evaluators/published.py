"""Sizes that the papers print for their networks, and ours beside them: one source for tests and documents.

Sources: Zhu, Hofstee, Lee, Al-Ars, ICANN 2021, table 1 (arXiv:2108.08205); Bello et al., ICCV 2019, tables 1
and 5 and that of ImageNet (arXiv:1904.09925).
"""

from __future__ import annotations

from functools import partial

from foundation.config import config

IMAGENET = ((3, 224, 224), 1000)
CIFAR100 = ((3, 32, 32), 100)


@config
class PublishedSize:
    """One row of a paper's table."""

    paper: str
    """Short name of the paper."""
    row: str
    """What the paper calls the network."""
    backbone: str
    """Our name of it."""
    attention: str
    """What is attached to it."""
    input_shape: tuple[int, int, int]
    """(channels, height, width) of the images."""
    num_classes: int
    """Outputs of the classifier."""
    million_params: str | None
    """Parameters as printed; None if nothing was found."""
    giga: str | None
    """Operations as printed."""
    macs_each: int
    """Operations that the paper counts for a multiply-accumulate: 1, or 2 where FLOPs are meant."""
    params: int
    """Our parameters."""
    macs: int
    """Our multiply-accumulates."""
    same_params: bool = True
    """Whether ours are the printed ones, to the last digit."""
    same_giga: bool = True
    """Whether our operations are the printed ones, to the last digit."""
    note: str = ""
    """Why a number differs, or what was read into the paper to reach it."""


def _row(
    row: str,
    backbone: str,
    attention: str,
    printed: tuple[str | None, str | None],
    params: int,
    macs: int,
    *,
    paper: str,
    macs_each: int,
    data: tuple[tuple[int, int, int], int] = IMAGENET,
    same_params: bool = True,
    same_giga: bool = True,
    note: str = "",
) -> PublishedSize:
    giga, million_params = printed
    return PublishedSize(
        paper=paper,
        row=row,
        backbone=backbone,
        attention=attention,
        input_shape=data[0],
        num_classes=data[1],
        million_params=million_params,
        giga=giga,
        macs_each=macs_each,
        params=params,
        macs=macs,
        same_params=same_params,
        same_giga=same_giga,
        note=note,
    )


_aw = partial(_row, paper="AW", macs_each=1)
_aa = partial(_row, paper="AA", macs_each=2)


def _ga(bits: str, params: int, macs: int) -> PublishedSize:
    """A network of the empirical study, which prints no sizes: the public module's are the measure."""
    return _row(
        f"ResNet-50, {bits} in stages 3 and 4",
        "resnet50",
        f"ga:{bits}",
        (None, None),
        params,
        macs,
        paper="GA",
        macs_each=1,
        note=f"no size is printed; {params - 25_557_032:,} more than without, as with the public module",
    )


_GATES = "what the paper counts beside convolutions and linear layers is not known"
_R101 = "no plain reading reaches it: the printed difference is 0.09 M more than the one of ResNet50 predicts"
_FORMS = "the two cut-down CBAMs are a reading: " + _GATES
_MOBILE = "the printed 0.04 more than without AW is not explained: the paper's own equations give 0.004"
_BOTH = "a module after both convolutions of a block; " + _GATES
_FULL = "attention on full maps; [largest=14] comes within 0.31"

PUBLISHED_SIZES: tuple[PublishedSize, ...] = (
    _aw("ResNet50", "resnet50_v1", "none", ("3.86", "25.56"), 25_557_032, 3_857_973_248),
    _aw("AW-ResNet50", "resnet50_v1", "aw", ("3.87", "25.72"), 25_722_240, 3_870_705_152),
    _aw(
        "SE-ResNet50",
        "resnet50_v1",
        "se",
        ("3.87", "28.09"),
        28_088_024,
        3_860_488_192,
        same_giga=False,
        note=_GATES,
    ),
    _aw(
        "AW-SE-ResNet50",
        "resnet50_v1",
        "aw+se",
        ("3.88", "28.25"),
        28_253_232,
        3_873_220_096,
        same_giga=False,
        note=_GATES,
    ),
    _aw(
        "AW-CBAM-ResNet50 (MaxPool)",
        "resnet50_v1",
        "aw+cbam[maxpool]",
        ("3.89", "28.25"),
        28_253_232,
        3_875_735_040,
        same_giga=False,
        note=_FORMS,
    ),
    _aw(
        "AW-CBAM-ResNet50 (Spatial)",
        "resnet50_v1",
        "aw+cbam[spatial]",
        ("3.90", "28.25"),
        28_254_048,
        3_873_899_579,
        same_giga=False,
        note=_FORMS,
    ),
    _aw("ResNet101", "resnet101_v1", "none", ("7.57", "44.55"), 44_549_160, 7_570_194_432),
    _aw(
        "AW-ResNet101",
        "resnet101_v1",
        "aw",
        ("7.58", "44.95"),
        44_862_880,
        7_594_206_720,
        same_params=False,
        same_giga=False,
        note=_R101,
    ),
    _aw(
        "SE-ResNet101",
        "resnet101_v1",
        "se",
        ("7.58", "49.33"),
        49_326_872,
        7_574_937_600,
        same_giga=False,
        note=_GATES,
    ),
    _aw(
        "AW-SE-ResNet101",
        "resnet101_v1",
        "aw+se",
        ("7.59", "49.73"),
        49_640_592,
        7_598_949_888,
        same_params=False,
        same_giga=False,
        note=_R101,
    ),
    _aw(
        "AW-CBAM-ResNet101 (MaxPool)",
        "resnet101_v1",
        "aw+cbam[maxpool]",
        ("7.60", "49.73"),
        49_640_592,
        7_603_693_056,
        same_params=False,
        note=_R101,
    ),
    _aw(
        "AW-CBAM-ResNet101 (Spatial)",
        "resnet101_v1",
        "aw+cbam[spatial]",
        ("7.61", "49.73"),
        49_642_275,
        7_599_792_639,
        same_params=False,
        same_giga=False,
        note=_R101,
    ),
    _aw("MobileNet", "mobilenet_v1", "none", ("0.569", "4.23"), 4_231_976, 568_740_352),
    _aw(
        "SE-MobileNet",
        "mobilenet_v1",
        "se",
        ("0.581", "5.07"),
        5_072_114,
        569_568_896,
        same_giga=False,
        note=_BOTH,
    ),
    _aw(
        "AW-SE-MobileNet",
        "mobilenet_v1",
        "aw+se",
        ("0.623", "5.52"),
        5_520_858,
        573_144_576,
        same_giga=False,
        note=_MOBILE,
    ),
    _aw(
        "CBAM-MobileNet",
        "mobilenet_v1",
        "cbam[spatial]",
        ("0.611", "5.07"),
        5_073_440,
        571_691_380,
        same_giga=False,
        note="the form without maxima, as the paper says of its MobileNets; " + _BOTH,
    ),
    _aw(
        "AW-CBAM-MobileNet (Spatial)",
        "mobilenet_v1",
        "aw+cbam[spatial]",
        ("0.652", "5.52"),
        5_522_184,
        575_267_060,
        same_giga=False,
        note=_MOBILE,
    ),
    _aa(
        "ResNet-34",
        "resnet34",
        "none",
        ("7.4", "21.8"),
        21_797_672,
        3_663_761_408,
        same_giga=False,
        note="7.33 by count",
    ),
    _aa(
        "AA-ResNet-34",
        "resnet34",
        "aa[kappa=0.25,upsilon=0.25]",
        ("7.1", "20.7"),
        20_749_552,
        4_191_263_264,
        same_giga=False,
        note=_FULL,
    ),
    _aa("ResNet-50", "resnet50", "none", ("8.2", "25.6"), 25_557_032, 4_089_184_256),
    _aa("SE-ResNet-50", "resnet50", "se", ("8.2", "28.1"), 28_088_024, 4_091_699_200),
    _aa(
        "AA-ResNet-50",
        "resnet50",
        "aa",
        ("8.3", "25.8"),
        25_813_872,
        4_749_803_824,
        same_giga=False,
        note=_FULL,
    ),
    _aa("ResNet-101", "resnet101", "none", ("15.6", "44.5"), 44_549_160, 7_801_405_440),
    _aa(
        "AA-ResNet-101",
        "resnet101",
        "aa",
        ("16.1", "45.4"),
        45_391_208,
        8_722_080_944,
        same_giga=False,
        note=_FULL,
    ),
    _aa(
        "AA-ResNet-152",
        "resnet152",
        "aa",
        (None, None),
        61_622_496,
        13_204_372_016,
        note="printed numbers were not found",
    ),
    *(
        _aa(
            f"AA-ResNet-50, kappa = upsilon = {ratio}",
            "resnet50",
            f"aa[kappa={ratio},upsilon={ratio}]",
            (giga, million_params),
            params,
            macs,
            same_giga=False,
            note=_FULL,
        )
        for ratio, giga, million_params, params, macs in (
            (0.25, "7.9", "24.3", 24_308_208, 4_606_249_504),
            (0.5, "7.3", "22.3", 22_347_160, 4_413_446_656),
            (0.75, "6.8", "20.7", 20_739_976, 4_275_362_304),
            (1.0, "6.3", "19.4", 19_388_040, 4_186_826_752),
        )
    ),
    _aa(
        "Wide-ResNet", "wide_resnet28_10", "none", ("10.4", "36.3"), 36_278_324, 5_214_550_528, data=CIFAR100
    ),
    _aa(
        "SE-Wide-ResNet",
        "wide_resnet28_10",
        "se[bias=false]",
        ("10.4", "36.5"),
        36_547_124,
        5_214_819_328,
        data=CIFAR100,
        note="without biases; with them 36.6",
    ),
    _aa(
        "AA-Wide-ResNet",
        "wide_resnet28_10",
        "aa",
        ("10.9", "36.2"),
        36_054_100,
        6_192_200_192,
        data=CIFAR100,
        same_params=False,
        same_giga=False,
        note="undetermined: tables of each head give 36.18, convolutions as shortcuts without stage 1 36.21",
    ),
    *(
        _ga(bits, params, macs)
        for bits, params, macs in (
            ("1111", 31_464_497, 4_481_867_264),
            ("0010", 29_102_129, 4_154_264_576),
        )
    ),
)

PUBLIC_MODULE_SIZES = {
    ("ga:1111", 256): 328_449,
    ("ga:1110", 256): 328_193,
    ("ga:0110", 256): 328_193,
    ("ga:1000", 256): 262_401,
    ("ga:0100", 256): 262_401,
    ("ga:0010", 256): 197_121,
    ("ga:0001", 256): 197_121,
    ("ga:0000", 256): 0,
    ("ga:1111", 512): 1_312_257,
    ("ga:0010", 512): 787_457,
}
"""Operator and channels to the parameters of the public module: mmcv's `GeneralizedAttention`."""
