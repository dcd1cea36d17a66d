"""What each column of the two streams stands for, and how the speaker's affect shows in it.

The names follow eGeMAPS (openSMILE) and OpenFace, whose scales the columns imitate; no such tool was run.
"""

import math
from typing import Any, NamedTuple

AUDIO_RATE = 20.0
VISUAL_RATE = 10.0


class Column(NamedTuple):
    """One feature over time.

    Args:
        name: Its name.
        level: Typical value while the speaker talks.
        spread: Typical deviation, over speakers and over time; the unit of `gain`.
        gain: Shift on a loaded word per unit of affect, in spreads. 0 marks a column that says nothing.
        rest: Value in silence; audio only, a face does not go away.
        lowest: Smallest possible value.
    """

    name: str
    level: float
    spread: float
    gain: float = 0.0
    rest: float = 0.0
    lowest: float = -math.inf


AUDIO = (
    Column("loudness", 0.8, 0.25, gain=0.5, rest=0.05, lowest=0.0),
    Column("alpha_ratio_db", -12.0, 5.0, gain=0.3, rest=-20.0),
    Column("hammarberg_index_db", 25.0, 6.0, gain=-0.3, rest=15.0),
    Column("slope_0_500", 0.03, 0.03),
    Column("slope_500_1500", -0.02, 0.01),
    Column("spectral_flux", 0.4, 0.15, gain=0.4, rest=0.02, lowest=0.0),
    Column("mfcc_1", 20.0, 8.0, rest=12.0),
    Column("mfcc_2", 5.0, 9.0, rest=2.0),
    Column("mfcc_3", 8.0, 10.0, rest=5.0),
    Column("mfcc_4", -5.0, 10.0, rest=-2.0),
    Column("f0_semitones", 28.0, 3.0, gain=0.6, lowest=0.0),
    Column("jitter", 0.03, 0.01, gain=-0.2, lowest=0.0),
    Column("shimmer_db", 1.1, 0.3, lowest=0.0),
    Column("hnr_db", 6.0, 2.5, gain=0.3),
    Column("h1_h2_db", 3.0, 4.0),
    Column("h1_a3_db", 20.0, 6.0),
    Column("f1_frequency_hz", 520.0, 130.0, rest=520.0, lowest=50.0),
    Column("f1_bandwidth_hz", 1200.0, 250.0, rest=1200.0, lowest=50.0),
    Column("f1_amplitude_db", -40.0, 20.0, rest=-200.0),
    Column("f2_frequency_hz", 1500.0, 250.0, rest=1500.0, lowest=50.0),
    Column("f2_bandwidth_hz", 950.0, 200.0, rest=950.0, lowest=50.0),
    Column("f2_amplitude_db", -55.0, 18.0, rest=-200.0),
    Column("f3_frequency_hz", 2550.0, 230.0, rest=2550.0, lowest=50.0),
    Column("f3_bandwidth_hz", 850.0, 220.0, rest=850.0, lowest=50.0),
    Column("f3_amplitude_db", -60.0, 17.0, rest=-200.0),
)

# Action units are intensities and never negative: one with a positive gain answers to positive affect only, one with a
# negative gain to negative affect only. The head pose is in millimetres and radians.
ACTION_UNITS = (
    Column("au01_inner_brow_raiser", 0.2, 0.4, lowest=0.0),
    Column("au02_outer_brow_raiser", 0.1, 0.3, lowest=0.0),
    Column("au04_brow_lowerer", 0.3, 0.5, gain=-0.9, lowest=0.0),
    Column("au05_upper_lid_raiser", 0.1, 0.2, lowest=0.0),
    Column("au06_cheek_raiser", 0.3, 0.5, gain=0.8, lowest=0.0),
    Column("au09_nose_wrinkler", 0.1, 0.2, gain=-0.5, lowest=0.0),
    Column("au12_lip_corner_puller", 0.4, 0.6, gain=1.0, lowest=0.0),
    Column("au15_lip_corner_depressor", 0.2, 0.3, gain=-0.7, lowest=0.0),
    Column("au17_chin_raiser", 0.3, 0.4, lowest=0.0),
    Column("au25_lips_part", 0.8, 0.6, lowest=0.0),
    Column("au45_blink", 0.1, 0.2, lowest=0.0),
)
HEAD_POSE = (
    Column("pose_x_mm", 10.0, 40.0),
    Column("pose_y_mm", 20.0, 30.0),
    Column("pose_z_mm", 600.0, 80.0),
    Column("pose_pitch_rad", 0.1, 0.1),
    Column("pose_yaw_rad", 0.0, 0.1),
    Column("pose_roll_rad", 0.0, 0.05),
)

AUDIO_COLUMNS = [column.name for column in AUDIO]
VISUAL_COLUMNS = [column.name for column in ACTION_UNITS + HEAD_POSE]

# The form in which processors and configs remember the features a model was trained on.
AUDIO_FEATURES: dict[str, Any] = {
    "name": "hf_msa-sample-audio",
    "version": "1",
    "columns": AUDIO_COLUMNS,
    "rate": AUDIO_RATE,
}
VISUAL_FEATURES: dict[str, Any] = {
    "name": "hf_msa-sample-visual",
    "version": "1",
    "columns": VISUAL_COLUMNS,
    "rate": VISUAL_RATE,
}
