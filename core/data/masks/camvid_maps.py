"""Classes of CamVid's colours and ids.

The colours are those of its `label_colors.txt` (Brostow, Fauqueur, Cipolla, 2009). "exact 11" takes exactly eleven of
them, everything else is void (T. Petrac's mask maker, FER Zagreb 2021); "merged 11" groups the 32 classes into the
usual eleven. Both give the same ids. The ids of the 480 x 360 version made for SegNet have another order.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath

from core.data.masks.classes import Declared, declare, without_values

EXACT, MERGED = "camvid-exact-11", "camvid-merged-11"
SEGNET_VOID = 11
_FRAME = re.compile(r"(\d{4}[A-Z0-9]{2}|Seq\d{2}[A-Z]{2})_f?\d{3,6}(?:_L)?")

_COLOURS = {
    "Animal": "#408040",
    "Archway": "#c00080",
    "Bicyclist": "#0080c0",
    "Bridge": "#008040",
    "Building": "#800000",
    "Car": "#400080",
    "CartLuggagePram": "#4000c0",
    "Child": "#c08040",
    "Column_Pole": "#c0c080",
    "Fence": "#404080",
    "LaneMkgsDriv": "#8000c0",
    "LaneMkgsNonDriv": "#c00040",
    "Misc_Text": "#808040",
    "MotorcycleScooter": "#c000c0",
    "OtherMoving": "#804040",
    "ParkingBlock": "#40c080",
    "Pedestrian": "#404000",
    "Road": "#804080",
    "RoadShoulder": "#8080c0",
    "Sidewalk": "#0000c0",
    "SignSymbol": "#c08080",
    "Sky": "#808080",
    "SUVPickupTruck": "#4080c0",
    "TrafficCone": "#000040",
    "TrafficLight": "#004040",
    "Train": "#c04080",
    "Tree": "#808000",
    "Truck_Bus": "#c080c0",
    "Tunnel": "#400040",
    "VegetationMisc": "#c0c000",
    "Void": "#000000",
    "Wall": "#40c000",
}
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "Building": ("Bridge", "Wall", "Tunnel", "Archway"),
    "Tree": ("VegetationMisc",),
    "Sky": (),
    "Car": ("SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"),
    "SignSymbol": ("Misc_Text", "TrafficLight"),
    "Road": ("LaneMkgsDriv", "LaneMkgsNonDriv"),
    "Pedestrian": ("Child", "CartLuggagePram", "Animal"),
    "Fence": (),
    "Column_Pole": ("TrafficCone",),
    "Sidewalk": ("ParkingBlock", "RoadShoulder"),
    "Bicyclist": ("MotorcycleScooter",),
}
_SEGNET = {"Pole": "Column_Pole", "Pavement": "Sidewalk"}
_SEGNET_ORDER = (
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
)

MAPS: Mapping[str, Declared] = {
    EXACT: declare(((name, _COLOURS[name]) for name in _GROUPS), others_ignored=True),
    MERGED: without_values(
        declare(
            [
                *((name, _COLOURS[name]) for name in _GROUPS),
                *((name, _COLOURS[member]) for name, members in _GROUPS.items() for member in members),
                (None, _COLOURS["Void"]),
            ]
        )
    ),
}
SEGNET = declare([*((name, _COLOURS[_SEGNET.get(name, name)]) for name in _SEGNET_ORDER), (None, _COLOURS["Void"])])


def sequence_of(name: str) -> str:
    """Return the drive of a CamVid frame, "" for any other name: `0016E5_06450.png` is from 0016E5."""
    found = _FRAME.fullmatch(PurePath(name).stem)
    return found[1] if found else ""
